#!/bin/sh
# Prepares the root of servers that run other people's software, in DIR: what installing
# PACKAGES changes on this machine's root. Nothing is installed on this machine, and no
# daemon is started.
#
#	DIR/upper     the layer, for `flock lab up --root DIR`
#	DIR/packages  what is in it
#
# Does nothing where the same packages are there. Two calls at once do it once.
set -eu
[ $# -ge 2 ] || { echo "usage: root.sh DIR PACKAGE..." >&2; exit 1; }
dir=$1
shift
mkdir -p "$dir"
exec 9>"$dir/lock"
/usr/bin/flock 9
want="$(cat /etc/debian_version): $*"
[ "$(cat "$dir/packages" 2>/dev/null)" != "$want" ] || exit 0

echo "installing $* into $dir"
rm -rf "$dir/packages" "$dir/upper" "$dir/new"
# The mounts are seen by nobody else and go with the shell. The layer is made on a tmpfs:
# an overlay's upper directory must not be within its lower one.
exec unshare --mount --propagation private sh -eus "$dir" "$want" "$@" 9>&9 <<'INSIDE'
dir=$1 want=$2
shift 2
work=$(mktemp -d "$dir/work.XXXXXX")
trap 'umount -l "$work" 2>/dev/null || true; rmdir "$work"' EXIT
mount -t tmpfs -o mode=0755 tmpfs "$work"
root=$work/root
mkdir "$work/upper" "$work/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" overlay "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run" # no /run/systemd: no script takes this for a running server
cat /etc/resolv.conf >"$work/resolv.conf"
rm -f "$root/etc/resolv.conf"
cp "$work/resolv.conf" "$root/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
install() {
	chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
		-o Dpkg::Options::=--force-unsafe-io -o Dpkg::Options::=--force-confold \
		-o 'Dpkg::Options::=--path-exclude=/usr/share/man/*' -o 'Dpkg::Options::=--path-exclude=/usr/share/doc/*' "$@" </dev/null >"$work/apt.log" 2>&1
}
if ! install "$@"; then # the lists are missing, or older than the archive
	chroot "$root" apt-get update -qq </dev/null
	install "$@" || { tail -n 20 "$work/apt.log" >&2; exit 1; }
fi
chroot "$root" apt-get clean </dev/null
# Podman uses CNI, which netavark beside it would change: a walk about netavark takes this away.
mkdir -p "$root/etc/containers/containers.conf.d"
printf '[network]\nnetwork_backend = "cni"\n' >"$root/etc/containers/containers.conf.d/cni.conf"
rm -rf "$root/usr/sbin/policy-rc.d" "$work/upper/var/lib/apt/lists" "$work/upper/var/log"
cp -a "$work/upper" "$dir/new"
mv "$dir/new" "$dir/upper"
echo "$want" >"$dir/packages"
INSIDE
