
# Without the package bash-completion: the words of the line up to the cursor, where bash parts
# them at = and : put together again. What is not behind a space belongs to the word before.
if ! declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
__NAME_init_completion()
{
    local line=${COMP_LINE:0:COMP_POINT} space word i
    words=() cword=-1
    for ((i = 0; i <= COMP_CWORD; i++)); do
        space=${line%%[![:space:]]*}
        line=${line:${#space}}
        word=${line:0:${#COMP_WORDS[i]}}
        line=${line:${#word}}
        if [[ -n $space || $cword -lt 0 ]]; then
            ((cword += 1))
            words[cword]=
        fi
        words[cword]+=$word
    done
    cur=${words[cword]} prev=${words[cword > 0 ? cword - 1 : 0]}
}
fi
