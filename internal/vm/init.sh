#!/bin/busybox sh
# Process 1 of the VM: this machine's root, read-only, below a layer of memory.
# The initramfs holds busybox and, in /mod, the modules that this takes, numbered
# in the order of their dependencies.
bb=/bin/busybox
fail() { $bb echo "init: $*" >/dev/console; $bb poweroff -f; }
$bb mkdir -p /proc /dev /lower /kernel /layer /new
$bb mount -t proc proc /proc
$bb mount -t devtmpfs dev /dev
for m in /mod/*; do $bb insmod "$m" || fail "insmod $m"; done

# The words of the kernel's command line that are NAME=VALUE are in the environment.
opts=trans=virtio,version=9p2000.L,msize=512000,cache=loose
$bb mount -t 9p -o "ro,$opts" root /lower || fail "mount the machine's root"
$bb mount -t 9p -o "ro,$opts" kernel /kernel || fail "mount the kernel's modules"
$bb mount -t tmpfs -o mode=0755,size=75% layer /layer
$bb mkdir /layer/upper /layer/work
$bb mount -t overlay -o "lowerdir=/kernel:/lower,upperdir=/layer/upper,workdir=/layer/work" root /new ||
	fail "lay memory over the machine's root"
# The command's directory may lie in what is empty here: it is kept aside.
$bb mkdir /aside
[ -d "/new$vm_cd" ] && $bb mount --bind "/new$vm_cd" /aside
for d in run tmp proc dev sys; do $bb mkdir -p /new/$d; done
$bb mount -t tmpfs -o mode=0755 tmpfs /new/run
$bb mount -t tmpfs -o mode=1777 tmpfs /new/tmp
$bb mkdir -p "/new$vm_share"
$bb mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000" share "/new$vm_share" || fail "mount $vm_share"
if ! [ -d "/new$vm_cd" ]; then
	$bb mkdir -p "/new$vm_cd"
	$bb mount --move /aside "/new$vm_cd" || fail "mount $vm_cd"
fi
$bb umount /proc
$bb mount --move /dev /new/dev
exec $bb switch_root /new /bin/sh "$vm_share/stage2.sh"
