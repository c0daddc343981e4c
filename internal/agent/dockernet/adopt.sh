# VERB CLUSTER DIR [BRIDGE [ADDRESS/LENGTH]]: the subnet of LXC's, Docker's and libvirt's own bridge.
# list: BRIDGE ADDRESS/LENGTH, those that CLUSTER has given theirs.
# try: WHAT|NEXT, what is in the way of BRIDGE having that address, or its own again without one.
# set: makes it so. DIR/adopt-BRIDGE has the address, whether there was no file, and what stood there.
# step: what a plan says of it besides. swap, part, calc, address: the functions of that name.
export PATH="$PATH:/usr/sbin:/sbin:/usr/local/bin"
verb=$1 cluster=$2 dir=$3 bridge=${4-} want=${5-} name=
of() {
	bridge=$1 note=$dir/adopt-$1
	case $bridge in
	lxcbr0) name=LXC file=/etc/default/lxc-net has=lxc-start package=lxc unit=lxc-net stop=lxc-stop ;;
	docker0) name=Docker file=/etc/docker/daemon.json has=dockerd package=docker.io unit=docker stop="docker stop" ;;
	virbr0) name=libvirt file=/etc/libvirt/qemu/networks/default.xml has=virsh package=libvirt-daemon-system unit=libvirtd stop="virsh shutdown" ;;
	esac
}
tell() { timeout 30 virsh -q -c qemu:///system "$@" </dev/null; } # not virsh, which is looked for
docker() { timeout 30 docker -H unix:///var/run/docker.sock "$@"; }

# calc ADDRESS/LENGTH: address, netmask, network/length, first and last to hand out, their number.
calc() {
	echo "$1" | awk -F '[./]' '
		function text(n) { return int(n / 16777216) % 256 "." int(n / 65536) % 256 "." int(n / 256) % 256 "." n % 256 }
		{ a = (($1 * 256 + $2) * 256 + $3) * 256 + $4; size = 2 ^ (32 - $5); net = a - a % size
		if (a < net + size / 2) { from = a + 1; to = net + size - 2 } else { from = net + 1; to = a - 1 }
		print text(a), text(4294967296 - size), text(net) "/" $5, text(from), text(to), to - from + 1 }'
}
# part ADDRESS/LENGTH: what says in the file that this is the bridge's.
part() {
	set -- "$1" $(calc "$1")
	case $bridge in
	lxcbr0) printf '%s\n' "# Set by flock, which takes it away again." "LXC_ADDR=\"$2\"" "LXC_NETMASK=\"$3\"" "LXC_NETWORK=\"$4\"" "LXC_DHCP_RANGE=\"$5,$6\"" "LXC_DHCP_MAX=\"$7\"" "# Until here." ;;
	docker0) echo "\"$1\"" ;;
	virbr0) printf "<ip address='%s' netmask='%s'>\n    <dhcp>\n      <range start='%s' end='%s'/>\n    </dhcp>\n  </ip>\n" "$2" "$3" "$5" "$6" ;;
	esac
}
# edit get [KEY]|put PART: what says it in the text on standard input; the text with PART instead.
edit() {
	case $bridge in
	lxcbr0)
		put=$1 part=${2-} awk 'BEGIN { put = ENVIRON["put"] == "put" }
			/^# Set by flock/ { ours = 1 }
			ours != put
			/^# Until here/ { ours = 0 }
			END { if (ours) exit 1; if (put && ENVIRON["part"]) print ENVIRON["part"] }'
		;;
	docker0)
		put=$1 part=${2-} awk '{ t = t (NR > 1 ? "\n" : "") $0 }
			END {
				put = ENVIRON["put"] == "put"; part = ENVIRON["part"]; name = "bip"; s = "[ \t\r\n]*"
				if (!put && part) name = part
				if (t ~ "^" s "$") t = "{}"
				if (t !~ "^" s "{") exit 1
				for (i = 1; i <= length(t); i++) {
					c = substr(t, i, 1)
					if (c == "\"") {
						for (b = i++; i <= length(t) && (d = substr(t, i, 1)) != "\""; i++) if (d == "\\") i++
						if (depth == 1) { began = b; last = substr(t, b + 1, i - b - 1) }
					} else if (c == "{" || c == "[") depth++
					else if (c == ":" && depth == 1 && last == name) { key = began; from = i + 1; open = 1 }
					else if (c == "," || c == "}" || c == "]") {
						if (depth == 1) last = ""
						if (open && depth == 1) { to = i; open = 0 }
						if (c != ",") depth--
					}
				}
				if (depth) exit 1
				is = lead = trail = substr(t, from, to - from)
				sub("^" s, "", is); sub(s "$", "", is); sub("[^ \t\r\n].*", "", lead); sub(".*[^ \t\r\n]", "", trail)
				if (!put) { if (key) print is; exit }
				before = substr(t, 1, key - 1); after = substr(t, to)
				if (key && part) t = substr(t, 1, from - 1) lead part trail after
				else if (key) {
					sub(s "$", "", before)
					if (!sub(",$", "", before)) sub("^,", "", after); else after = trail after
					t = before after
				} else if (part) {
					at = index(t, "{"); rest = substr(t, at + 1)
					t = substr(t, 1, at) "\n    \"bip\": " part (rest ~ "^" s "}" ? "\n" : ",") rest
				}
				print t
			}'
		;;
	virbr0)
		put=$1 part=${2-} awk '{ t = t (NR > 1 ? "\n" : "") $0 }
			END {
				for (at = 1; i = index(substr(t, at), "<ip "); at += n) {
					at += i - 1; e = substr(t, at); tag = substr(e, 1, index(e, ">"))
					n = tag ~ "/>$" ? length(tag) : index(e, "</ip>") + 4
					if (tag ~ "ipv6") continue
					if (ENVIRON["put"] == "put") print substr(t, 1, at - 1) ENVIRON["part"] substr(e, n + 1); else print substr(e, 1, n)
					exit
				}
				exit 1
			}'
		;;
	esac
}
# address: what the text on standard input makes the bridge's address, with its length.
address() {
	case $bridge in
	lxcbr0) { echo LXC_ADDR=10.0.3.1 && echo LXC_NETMASK=255.255.255.0 && cat; } | sed -n "s/^ *LXC_\(ADDR\|NETMASK\)=[\"']*\([0-9.]*\).*/\1 \2/p" ;;
	docker0) edit get | tr -d '"' ;;
	virbr0) edit get | sed -n "s/.*<ip .*address='\([^']*\)'.*\(netmask\|prefix\)='\([^']*\)'.*/ADDR \1\nNETMASK \3/p" ;;
	esac | awk '{ v[$1] = $2; if (NF == 1) print }
		END {
			if (!("ADDR" in v)) exit
			n = split(v["NETMASK"], m, "."); bits = n == 1 ? m[1] : 0
			for (i = 1; n == 4 && i <= 4; i++) for (b = m[i]; b > 0; b = b * 2 % 256) bits++
			print v["ADDR"] "/" bits
		}'
}
text() { cat "$file" 2>/dev/null; }
told() { sed -n 1p "$note" 2>/dev/null; }
former() { sed 1,2d "$note" 2>/dev/null; }
chosen() { sed -n '2s/.* //p' "$note" 2>/dev/null; } # by Docker, where its file said nothing
live() { ip -o -4 address show dev "$bridge" 2>/dev/null | awk '{ print $4 }'; }
active() {
	if [ $bridge = virbr0 ]; then [ -e /sys/class/net/virbr0 ]; else systemctl is-active -q $unit; fi
}

# hangs: WHAT|NEXT, who would lose an address, or stop.
hangs() {
	ports=$(ls "/sys/class/net/$bridge/brif" 2>/dev/null) to=${want:-$(text | edit put "$(former)" | address)} runs=
	case $bridge in
	lxcbr0)
		for f in /var/lib/lxc/*/config; do
			grep -qs "link *= *$bridge" "$f" && a=$(sed -n 's/.*ipv4.address *= *\([0-9./]*\).*/\1/p' "$f" | head -n 1) && [ "$a" ] || continue
			[ "$(calc "${a%/*}/${to#*/}" | cut -d ' ' -f 3)" = "$(calc "$to" | cut -d ' ' -f 3)" ] ||
				echo "$f has $a on $bridge, which would be outside of it|grep address $f"
		done
		[ ! "$ports" ] || runs=$(lxc-ls -1 --running)
		;;
	docker0)
		! active || runs=$(docker ps --format '{{.Names}}') || echo "docker does not answer|systemctl restart docker"
		[ ! "$runs" ] || { echo "containers of Docker run, which its restart would stop: $(echo $runs)|docker stop $(echo $runs)" && return; }
		;;
	virbr0) runs=$(tell list --name) || { echo "libvirt does not answer|systemctl restart libvirtd" && return; } ;;
	esac
	set -- $runs
	next="ip link show master $bridge"
	[ ! "${1-}" ] || next="$stop $1"
	[ ! "$ports" ] || echo "on $bridge hang $(echo $ports), which would lose their addresses${1:+; of $name run: $*}|$next"
}
# try: see there. The first is enough.
try() {
	[ "$name" ] || { echo "this agent does not know $bridge|flock setsubnet none" && return; }
	if ! command -v $has >/dev/null || { [ "$name" = LXC ] && [ ! -e $file ]; }; then
		[ ! "$want" ] || echo "$name is not there, whose $bridge would have the subnet|apt-get install $package"
		return
	fi
	[ -d /run/systemd/system ] || [ $bridge = virbr0 ] || { echo "without systemd $name is not restarted, which another subnet needs|systemctl restart $unit" && return; }
	for f in "${dir%/*}"/*/"${note##*/}"; do
		c=${f%/*} c=${c##*/}
		[ ! -e "$f" ] || [ "$c" = "$cluster" ] || { echo "cluster $c has given $bridge its subnet|flock --cluster $c listservers" && return; }
	done
	is=$(text | edit get) || { echo "what $file says is not understood|cat $file" && return; }
	at=$(text | address)
	if [ -e "$note" ] && [ "$is" != "$(former)" ] && [ "$at" != "$(told)" ] && [ "$at" != "$(chosen)" ]; then
		echo "$file has ${at:-nothing} for $bridge, flock set $(told): somebody else changed it|set it to $(told) there, or keep it: rm $note"
		return
	fi
	if [ $bridge = docker0 ] && [ ! "$want" ] && [ "$(chosen)" ] && ! active && [ ! -e "$note.on" ]; then
		echo "Docker does not run, and would keep $(told) for docker0|systemctl start docker"
		return
	fi
	case $bridge in
	docker0) for k in bridge fixed-cidr; do [ ! "$(text | edit get $k)" ] || { echo "$file has $k, which does not go with another bip|cat $file" && return; }; done ;;
	virbr0)
		text | grep -q "<bridge name='virbr0'" || { echo "libvirt's network default is not on virbr0|virsh net-edit default" && return; }
		case $is in *"<host"* | *"<bootp"* | *"<tftp"*) echo "libvirt's network default has more than a range in its DHCP|virsh net-edit default" && return ;; esac
		;;
	esac
	hangs | head -n 1
}
# does VERB: systemd, or libvirt, stops or starts what makes the bridge.
does() {
	case $bridge$1 in
	virbr0stop) tell net-destroy default >/dev/null ;;
	virbr0start) tell net-start default >/dev/null ;;
	*) systemctl reset-failed $unit 2>/dev/null; timeout 90 systemctl "$1" $unit 2>&1 ;;
	esac
}
# write FILE: the program goes by that; by an empty one as if it had none.
write() {
	if [ $bridge = virbr0 ]; then
		tell net-define "$1" >/dev/null
	elif [ ! -s "$1" ]; then
		rm -f $file
	else
		mkdir -p "${file%/*}" && at=$(readlink -f $file) || return 1
		if [ -e "$at" ]; then cp -p "$at" "$at.flock"; else : >"$at.flock" && chmod 644 "$at.flock"; fi
		cat "$1" >"$at.flock" && mv "$at.flock" "$at"
	fi
}
# turn FILE: the program lets go of its bridge by what it was told before, and takes it up by FILE.
# One that fails at that is started again by the next turn.
turn() {
	failed=0
	if active; then
		: >"$note.on"
		does stop >&2 || return 1
	fi
	# Docker takes its subnet from a bridge that is there.
	[ ! -e /sys/class/net/$bridge ] || ip link delete $bridge
	write "$1" || failed=1
	if [ -e "$note.on" ]; then
		does start >&2 && rm -f "$note.on" || failed=1
	fi
	return $failed
}
[ ! "$bridge" ] || of "$bridge"
case $verb in
list)
	for f in "$dir"/adopt-*0; do
		[ -f "$f" ] || continue
		of "${f##*/adopt-}"
		is=$(text | address)
		if [ "$is" = "$(told)" ]; then # its program has taken it up
			has=$(live)
			case "
$has
" in *"
$is
"*) ;; *) [ ! "$has" ] || ! active || is=$(echo "$has" | head -n 1) ;; esac
		fi
		echo "$bridge ${is:-0.0.0.0/0}"
	done
	;;
step)
	was=$(text | address)
	echo "${want:+, was ${was:-chosen by $name}; }by $file, $name makes its bridge anew"
	;;
swap) edit put "$want" ;;
part | calc) $verb "$want" ;;
address) address ;;
try) try ;;
set)
	what=$(try)
	[ ! "$what" ] || { echo "$what" >&2 && exit 1; }
	if ! command -v $has >/dev/null; then # its configuration went with it, or waits for nobody
		rm -f "$note"
		exit
	fi
	if [ "$want" ]; then
		p=$(part "$want")
		if [ -e "$note" ]; then
			sed 1d "$note"
		else
			was=there
			[ -e $file ] || was=made
			[ $bridge != docker0 ] || [ "$(text | edit get)" ] || was="$was $(live | head -n 1)"
			echo "$was"
			text | edit get
		fi >"$note.was" || exit 1
		{ echo "$want" && cat "$note.was"; } >"$note.new" && mv "$note.new" "$note" && rm -f "$note.was" || exit 1
	else
		p=$(former)
	fi
	text | edit put "$p" >"$dir/adopt.new" || exit 1
	case "$want$(sed -n 2p "$note")$(cat "$dir/adopt.new")" in made*"{}") : >"$dir/adopt.new" ;; esac
	if [ ! "$want" ] && [ "$(chosen)" ]; then # Docker keeps the subnet that it was told until it is told another
		text | edit put "\"$(chosen)\"" >"$dir/adopt.own" && turn "$dir/adopt.own" && write "$dir/adopt.new"
	else
		turn "$dir/adopt.new"
	fi
	failed=$?
	rm -f "$dir/adopt.new" "$dir/adopt.own"
	[ $failed = 0 ] || exit 1
	[ "$want" ] || rm -f "$note"
	;;
esac
