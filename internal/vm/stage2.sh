# Process 1 on the overlay: what a distribution's early boot does, then the command
# beside this file. Its output goes to a virtio port, which unlike a serial line
# costs one exit of the processor per write, its exit status to a file.
here=${0%/*}
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sf /proc/self/fd /dev/fd
hostname vm
ip link set lo up
# The kernel loads modules on demand for most, not for all that is asked through netlink.
for m in tun veth bridge br_netfilter vxlan wireguard dummy ip_gre ip6_gre ipip ip6_tunnel sit vrf macvlan 8021q ifb \
	nf_tables nft_ct nft_nat nft_masq nft_chain_nat nft_compat nft_reject_inet ip_tables iptable_nat iptable_filter ip6_tables \
	xt_MASQUERADE xt_conntrack sch_netem sch_tbf sch_htb sch_ingress act_mirred cls_u32; do
	modprobe -q "$m" || echo "no module $m" >/dev/console
done
port=$(ls /dev/vport*p1)
sh "$here/command.sh" >"$port" 2>&1 </dev/null
echo $? >"$here/status.new"
mv "$here/status.new" "$here/status"
sync
busybox poweroff -f
