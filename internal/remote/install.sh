# Puts the agent read from standard input in place: dir/version/flock. What is
# verified is renamed into place; a cut upload leaves at most a file that is not
# executable, which the next installation sweeps.
# Set in front: dir version size sum unpack units
set -eu
umask 022
fail() { echo "$*" >&2; exit 1; }
why=$(mkdir -p "$dir" 2>&1) || fail "$dir: ${why##*: }"
for f in "$dir"/.tmp-*; do
	[ -e "$f" ] || continue
	kill -0 "${f##*-}" 2>/dev/null || rm -f "$f"
done
tmp=$dir/.tmp-$$
rm -rf "$tmp"
trap 'rm -f "$tmp"' EXIT
trap 'exit 1' HUP INT TERM PIPE
why=$({ set -C && $unpack >"$tmp"; } 2>&1) || case $why in
*"unexpected end"* | "") fail "the upload was cut" ;;
*) fail "$dir: ${why##*: }" ;; # what the system says comes last, whoever repeats it
esac
have=$(wc -c <"$tmp")
[ "$have" -eq "$size" ] || fail "the upload was cut: $((have)) of $size bytes"
sha256sum=$(command -v sha256sum || echo busybox sha256sum)
have=$($sha256sum "$tmp")
[ "${have%% *}" = "$sum" ] || fail "the upload was damaged"
chmod 0755 "$tmp"
sync "$tmp" 2>/dev/null || sync
mkdir -p "$dir/$version"
mv -f "$tmp" "$dir/$version/flock"
for f in "$dir"/*/flock; do # of what is there ours are those named by 16 digits of their hash
	d=${f%/flock} v=${f#"$dir/"} v=${v%/flock}
	case ${#v}$v in 16*[!0-9a-f]*) continue ;; 16*) ;; *) continue ;; esac
	[ "$v" = "$version" ] && continue
	grep -qsF "$d/" "$units"/flock-*.service && continue
	rm -f "$f"
	rmdir "$d" 2>/dev/null || true
done
