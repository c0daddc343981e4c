#!/bin/sh
# Makes a guest that boots in seconds and needs no image of anybody: the newest kernel in /boot and a
# busybox that asks for an address. Run on the server, with the packages cpio and busybox-static:
#
#	sh guest.sh DIR      writes DIR/vmlinuz and DIR/initrd
set -eu
dir=${1:?usage: sh guest.sh DIR}
kernel=$(ls /boot/vmlinuz-* | sort -V | tail -n 1)
[ -e "$kernel" ] || { echo "guest.sh: there is no kernel in /boot" >&2; exit 1; }
modules=/lib/modules/${kernel#/boot/vmlinuz-}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/mod" "$root/proc" "$root/sys" "$root/dev" "$dir"
cp /bin/busybox "$root/bin/busybox"
# In the order of their dependencies; what is not there is in the kernel.
n=10
for m in virtio/virtio_ring virtio/virtio virtio/virtio_pci_legacy_dev virtio/virtio_pci_modern_dev virtio/virtio_pci \
	net/core/failover net/net_failover net/virtio_net; do
	for f in "$modules/kernel/drivers/$m".ko* "$modules/kernel/$m".ko*; do
		[ -e "$f" ] && cp "$f" "$root/mod/$n-${f##*/}"
	done
	n=$((n + 1))
done
for f in "$root"/mod/*.xz; do [ -e "$f" ] && xz -d "$f"; done
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
for m in /mod/*; do $b insmod "$m"; done
$b ip link set lo up
$b ip link set eth0 up
$b udhcpc -i eth0 -x hostname:guest -s /lease
echo "guest has $($b ip -4 -o addr show eth0 | $b awk '{ print $4 }')"
while :; do $b sleep 1000; done
INIT
cat >"$root/lease" <<'LEASE'
#!/bin/busybox sh
b=/bin/busybox
[ "$1" = bound ] || exit 0
$b ip addr add "$ip/$mask" dev "$interface"
$b ip route add default via "${router%% *}"
LEASE
chmod 755 "$root/init" "$root/lease"
cp "$kernel" "$dir/vmlinuz"
(cd "$root" && find . | cpio -o -H newc -R 0:0 2>/dev/null | gzip) >"$dir/initrd"
