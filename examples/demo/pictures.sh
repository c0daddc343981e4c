#!/usr/bin/env bash
# What a terminal shows of some commands, as pictures: listings at 80 and 140 columns, a plan, a
# matrix of verify; and what a browser shows of graph's page and of the site. They are taken of
# three servers in namespaces, which are gone when it ends.
#
#	pictures.sh DIR SITE		DIR gets NAME.svg and NAME.png; SITE is what make site made
set -euo pipefail
mkdir -p "$1"
dir=$(realpath "$1") site=$(realpath "$2")
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
export PATH="$PWD/bin:$PATH" FLOCK_LAB=${FLOCK_LAB:-/run/flock-demo} TERM=xterm-256color
export FLOCK_STATE="$work/demo.toml" FLOCK_SSH_CONFIG="$FLOCK_LAB/ssh_config"
trap 'flock lab down >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

# picture NAME COLUMNS ROWS COMMAND...: the last of what the command shows, with what is typed.
picture() {
  local name=$1 columns=$2 rows=$3
  shift 3
  printf '#!/bin/sh\nprintf "\\033[36m$ %%s\\033[0m\\n" "%s"\n%s\n' "$*" "$*" >"$work/run"
  asciinema rec -q --overwrite --cols "$columns" --rows "$rows" -c "sh $work/run" "$work/$name.cast" </dev/null
  mkdir "$work/$name"
  termtosvg render "$work/$name.cast" "$work/$name" -s -t window_frame >/dev/null 2>&1
  cp "$(find "$work/$name" -name '*.svg' | sort | tail -n 1)" "$dir/$name.svg"
}

# page NAME FILE: what a browser shows of a page.
page() {
  chromium-headless-shell --no-sandbox --disable-gpu --user-data-dir="$work/browser" --window-size=1100,700 \
    --screenshot="$dir/$1.png" "file://$2" >/dev/null 2>&1
}

flock lab up 3 >/dev/null 2>&1
for n in 1 2 3; do flock addserver "s$n" "root@10.99.0.$n" --quiet; done
flock createnetwork vx1 vxlan --quiet
flock addnetwork vx1 s1 s2 --quiet
picture plan 100 33 flock addnetwork vx1 s3 --dry-run
flock addnetwork vx1 s3 --quiet
flock createnetwork sites l2 --quiet
flock addnetwork sites s1 s2 --quiet
flock createnetwork apps host-gw -s 10.244.0.0/16 -b cbr0 --quiet
flock addnetwork apps s1 s2 s3 --quiet
picture listnetworks-80 80 22 flock listnetworks
picture listnetworks-140 140 7 flock listnetworks
picture verify 100 8 flock verify vx1
flock graph -o html >"$work/graph.html"
page graph-page "$work/graph.html"
page site "$site/index.html"
