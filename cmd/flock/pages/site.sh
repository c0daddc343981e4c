#!/bin/bash
# Makes a site of README and docs, as they are: nothing on it is written for it.
#
#   site.sh OUT        from the tree's root
set -euo pipefail
out=$(realpath -m "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What pages link to comes along.
git ls-files -z -- README.md ARCHITECTURE.md CONTRIBUTING.md LICENSE docs examples cmd/flock/testdata/script |
  tar --null -T - -cf - | tar -C "$work" --one-top-level=tree -xf -

# A link to a directory leads to its page; one that has none gets a list of what is in it.
find "$work/tree" -name '*.md' | while read -r page; do
  { grep -oE '\]\([^)#: ]+\)' "$page" || true; } | sort -u | while read -r link; do
    link=${link:2:-1} dir=$(dirname "$page")/$link
    [[ -d $dir ]] || continue
    sed -i "s,]($link),](${link%/}/README.md)," "$page"
    [[ -e $dir/README.md ]] && continue
    list=$(cd "$dir" && find . -type f -printf '- [%P](%P)\n' | LC_ALL=C sort)
    printf '# %s\n\n%s\n' "$(realpath --relative-to="$work/tree" "$dir")" "$list" >"$dir/README.md"
  done
done
cp cmd/flock/pages/site.css "$work/tree/"

# nav is the table of docs/README.md: its bold rows, and the pages linked in rows below them. Of a
# directory with a page, its other pages follow.
nav() {
  echo "nav:"
  echo "  - README.md"
  echo "  - All pages: docs/README.md"
  local row section page
  while read -r row; do
    section=$(sed -nE 's,^\| \*\*(.*)\*\* \|.*,\1,p' <<<"$row")
    [[ -z $section ]] || echo "  - $section:"
    [[ $row == "| ["* ]] || continue
    for page in $(cut -d'|' -f2 <<<"$row" | grep -oE '\]\([^)#]+' | cut -c3-); do
      page=$(realpath -m --relative-to="$work/tree" "$work/tree/docs/$page")
      [[ $page == */*/README.md ]] || { echo "    - $page"; continue; }
      echo "    - $(sed -n '1s/^# //p' "$work/tree/$page"):"
      (cd "$work/tree" && ls "$page" "$(dirname "$page")"/*.md) | LC_ALL=C sort -u | sed 's/^/        - /'
    done
  done <docs/README.md
}

{ cat cmd/flock/pages/site.yaml; echo "docs_dir: $work/tree"; echo "site_dir: $out"; nav; } >"$work/mkdocs.yml"
mkdocs -q build --strict --clean -f "$work/mkdocs.yml"
