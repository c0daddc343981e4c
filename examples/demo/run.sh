#!/usr/bin/env bash
# The demo behind `make demo`: three real servers (systemd, sshd) in namespaces of
# this machine, one VXLAN network between them, three containers that find each
# other. Everything it makes is gone when it ends, also when it fails.
# With PAUSE=SECONDS there is time to read before each part (make demo-recording).
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
export PATH="$PWD/bin:$PATH" FLOCK_LAB=${FLOCK_LAB:-/run/flock-demo}
export FLOCK_STATE="$work/demo.toml" FLOCK_SSH_CONFIG="$FLOCK_LAB/ssh_config"
began=$SECONDS
trap 'flock lab down >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

say() { sleep "${PAUSE:-0}"; printf '\n\033[1m# %s\033[0m\n' "$*"; }
run() { printf '\033[36m$ %s\033[0m\n' "$*"; "$@"; }

say 'three servers'
run flock lab up 3
for n in 1 2 3; do run flock addserver "s$n" "root@10.99.0.$n"; done

say 'one network, and what adding the servers would do'
run flock createnetwork vx1 vxlan
run flock addnetwork vx1 s1 s2 s3 --dry-run
run flock addnetwork vx1 s1 s2 s3
run flock listnetworks

say 'a container on each server gets its address by DHCP'
for n in 1 2 3; do run flock lab container "s$n" "c$n" vxl0 dhcp; done

say 'they reach each other by name across servers, and the outside through their own server'
run flock lab exec c1 ping -c 2 -i 0.2 c2.vxapp
run flock lab exec c3 ping -c 2 -i 0.2 c1.vxapp
run flock lab exec c2 ping -c 2 -i 0.2 198.51.100.1

say 'the same again changes nothing'
run flock addnetwork vx1 s1 s2 s3
run flock status

say 'somebody breaks a server by hand: status names it, apply repairs it'
run flock lab exec s2 ip link del vxl0-vx
run flock status || true
run flock apply
run flock lab exec c1 ping -c 2 -i 0.2 c2.vxapp

say 'and everything goes'
run flock removenetwork vx1 --yes
run flock listservers
run flock lab down
[[ -n ${PAUSE:-} ]] || printf '\ndone in %d s\n' $((SECONDS - began))
