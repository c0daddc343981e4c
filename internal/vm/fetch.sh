#!/bin/sh
# Fetches Debian's stock kernel for the VM lane into DIR, without installing it:
#
#	DIR/VERSION/vmlinuz
#	DIR/VERSION/root/usr/lib/modules/VERSION
#
# Does nothing where one is there; remove DIR for a newer one.
set -eu
dir=${1:?usage: fetch.sh DIR}
for have in "$dir"/*/vmlinuz; do
	[ ! -e "$have" ] || exit 0
done
[ "$(dpkg --print-architecture)" = amd64 ] || { echo "fetch.sh: the VM lane is for amd64" >&2; exit 1; }

mkdir -p "$dir"
work=$(mktemp -d "$dir/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # apt downloads as user _apt
cd "$work"

# linux-image-amd64 is an empty package that depends on the current one.
newest() { apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*-amd64\)$/\1/p' | head -n 1; }
get() { package=$(newest) && [ -n "$package" ] && apt-get download -q "$package" >apt.log 2>&1; }
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
if ! get; then # the lists are missing, or older than the archive
	$sudo apt-get update -qq
	get || { echo "fetch.sh: download ${package:-linux-image-amd64}:" >&2; cat apt.log >&2; exit 1; }
fi
version=${package#linux-image-}
echo "unpacking Debian's kernel $version to $dir"
dpkg-deb -x ./*.deb unpacked
depmod -b unpacked "$version" # before it moves: depmod looks below lib/modules

mkdir -p "$version/root/usr/lib"
mv unpacked/boot/vmlinuz-* "$version/vmlinuz"
if [ -d unpacked/usr/lib/modules ]; then mv unpacked/usr/lib/modules "$version/root/usr/lib/"; else mv unpacked/lib/modules "$version/root/usr/lib/"; fi
mv "$version" "$dir/"
