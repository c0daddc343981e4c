export PATH="$PATH:/usr/sbin:/sbin:/usr/local/bin"
verb=$1 cluster=$2 dir=$3 name=${4-}
[ $# -gt 3 ] && shift 4 || shift 3
want=$* marked=io.flocknet.cluster said=io.flocknet.options b=com.docker.network.bridge

runs() { [ "$(cat "/proc/$(cat /var/run/docker.pid)/comm")" = dockerd ]; } 2>/dev/null
engines= up=
command -v docker >/dev/null && command -v dockerd >/dev/null && engines=docker && runs && up=1
command -v podman >/dev/null && engines="$engines podman"

ask() {
	timeout 30 "$@" && return
	r=$?
	[ $r != 124 ] || echo "$1 does not answer" >&2
	return $r
}
docker() { ask docker -H unix:///var/run/docker.sock "$@"; }
podman() { ask podman "$@"; }
[ ! "$up" ] || has=$(docker network ls --filter "label=$marked=$cluster" --format "{{.Name}} {{.Label \"$said\"}}") || { [ $? = 124 ] && up= || exit 1; }

users() { # ENGINE
	all=$("$1" ps -a --no-trunc --format '{{.Names}} {{.Networks}}') || return 1
	echo "$all" | awk -v n="$name" '{ k = split($2, at, ","); for (i = 1; i <= k; i++) if (at[i] == n) print $1 }' | sort
}
of_docker() {
	[ ! "$up" ] || { echo "$has" && return; }
	for f in "$dir"/dockernet-*; do
		[ ! -f "$f" ] || echo "${f##*/dockernet-} $(cat "$f")"
	done
}
others_docker() {
	docker network inspect -f "{{.Name}}|{{index .Labels \"$marked\"}}|{{index .Options \"$b.name\"}}|{{range .IPAM.Config}}{{.Subnet}} {{end}}" $(docker network ls -q) |
		awk -F '|' -v n="$name" -v c="$cluster" -v bridge="$2" -v subnet="$4" '
		function first(p, a) { split(p, a, /[.\/]/); return ((a[1] * 256 + a[2]) * 256 + a[3]) * 256 + a[4] }
		function size(p) { sub(/.*\//, "", p); return 2 ^ (32 - p) }
		function meets(p, q) { return p !~ /:/ && first(p) < first(q) + size(q) && first(q) < first(p) + size(p) }
		function say(what) { print "docker has a network " $1 what "|docker network rm " $1; exit }
		$1 == n { say(" already, flock did not make it") }
		$2 == c { next }
		$3 == bridge { say(" on the bridge " bridge) }
		{ k = split($4, at, " "); for (i = 1; i <= k; i++) if (meets(at[i], subnet)) say(" of " at[i] ", which overlaps " subnet) }'
}
rm_docker() { docker network rm "$name" >/dev/null; }
make_docker() {
	docker network create -d bridge --label "$marked=$cluster" --label "$said=$want" -o $b.name="$2" -o $b.inhibit_ipv4=true \
		-o $b.enable_ip_masquerade=false -o com.docker.network.driver.mtu="${12}" --subnet "$4" --gateway "$6" --ip-range "$8" "$name" >/dev/null
}

cni=/etc/cni/net.d file=/etc/containers/networks conf=/etc/containers
value() { k=$1 && shift && cat "$@" 2>/dev/null | sed -n "s/^ *$k *= *\"\(.*\)\".*/\1/p" | tail -n 1; }
store=$(value graphroot $conf/storage.conf)
began=$(value network_backend /usr/share/containers/containers.conf $conf/containers.conf $conf/containers.conf.d/*.conf)
[ "$began" ] || began=$(cat "${store:-/var/lib/containers/storage}/defaultNetworkBackend" 2>/dev/null)
[ "$began" ] || ls /usr/lib*/podman /usr/local/lib*/podman 2>/dev/null | grep -q netavark || began=cni
path() { [ "$began" = cni ] && echo "$cni/99-flock-$1.conflist" || echo "$file/$1.json"; }
text_podman() { # NETWORK OPTIONS
	labels="{\"$marked\":\"$cluster\",\"$said\":\"$(shift; echo "$*")\"}" first=${11%-*} last=${11#*-}
	if [ "$began" = cni ]; then
		echo "{\"cniVersion\":\"0.4.0\",\"name\":\"$1\",\"args\":{\"podman_labels\":$labels},\"plugins\":[{\"type\":\"bridge\",\"bridge\":\"$3\",\"mtu\":${13},\"ipam\":{\"type\":\"host-local\",\"routes\":[{\"dst\":\"0.0.0.0/0\"}],\"ranges\":[[{\"subnet\":\"$5\",\"rangeStart\":\"$first\",\"rangeEnd\":\"$last\",\"gateway\":\"$7\"}]]}},{\"type\":\"portmap\",\"capabilities\":{\"portMappings\":true}}]}"
	else
		id=$(echo "$cluster/$1" | sha256sum)
		echo "{\"name\":\"$1\",\"id\":\"${id%% *}\",\"driver\":\"bridge\",\"network_interface\":\"$3\",\"created\":\"2000-01-01T00:00:00Z\",\"subnets\":[{\"subnet\":\"$5\",\"gateway\":\"$7\",\"lease_range\":{\"start_ip\":\"$first\",\"end_ip\":\"$last\"}}],\"ipv6_enabled\":false,\"internal\":false,\"dns_enabled\":false,\"labels\":$labels,\"options\":{\"mode\":\"unmanaged\",\"mtu\":\"${13}\"},\"ipam_options\":{\"driver\":\"host-local\"}}"
	fi
}
of_podman() {
	for f in "$file"/*.json "$cni"/99-flock-*.conflist; do
		grep -qs "\"$marked\": *\"$cluster\"" "$f" || continue
		n=${f#"$file/"} n=${n#"$cni/99-flock-"} n=${n%.*}
		o=$(sed -n "s/.*\"$said\": *\"\([^\"]*\)\".*/\1/p" "$f")
		[ "$f" = "$(path "$n")" ] && [ "$(cat "$f")" = "$(text_podman "$n" $o)" ] || o=damaged
		echo "$n $o"
	done
}
others_podman() {
	! cat "$file"/*.json "$cni"/*.conflist 2>/dev/null | grep -q "\"name\": *\"$name\"" ||
		echo "podman has a network $name already, flock did not make it|podman network rm $name"
}
rm_podman() { rm -f "$file/$name.json" "$cni/99-flock-$name.conflist"; }
make_podman() {
	mkdir -p "$(dirname "$(path "$name")")" && text_podman "$name" "$@" >"$(path "$name")" && podman network exists "$name" ||
		{ rm_podman && echo "podman finds no network in $(path "$name")" >&2 && return 1; }
}

now() { # ENGINE
	all=$("of_$1") || exit 1
	echo "$all" | awk -v n="$name" '$1 == n { sub(/^[^ ]* /, ""); print }'
}
case $verb in
list)
	[ "$engines" ] || echo none
	lines=
	for e in $engines; do
		all=$("of_$e") || exit 1
		lines="$lines
$(echo "$all" | sed "s/^/$e /")"
	done
	echo "$lines" | awk -v all="$engines" '
		NF > 1 { e = $1; n = $2; sub(/^[^ ]* [^ ]* /, ""); have[n, e] = $0; names[n] }
		END {
			count = split(all, es, " ")
			for (n in names) {
				text = lacks = ""
				for (i = 1; i <= count; i++) {
					t = have[n, es[i]]
					if (t == "") lacks = " lacks " es[i]
					else text = text == "" || text == t ? t : "differs"
				}
				print n, text lacks
			}
		}'
	;;
try)
	[ "$engines" ] || [ -z "$want" ] || echo "neither Docker nor Podman is there, which would have network $name|apt-get install docker.io"
	for e in $engines; do
		is=$(now "$e")
		[ "$is" != "$want" ] || continue
		if [ "$e" = docker ] && [ ! "$up" ]; then
			runs && what="does not answer" how=restart || what="does not run" how=start
			echo "docker $what, and cannot be told of network $name|systemctl $how docker"
		elif [ "$is" ]; then
			at=$(users "$e") || exit 1
			at=$(echo $at)
			[ ! "$at" ] || echo "containers of $e are on network $name: $(echo "$at" | sed 's/ /, /g')|$e network disconnect $name ${at%% *}"
		else
			"others_$e" "$@"
		fi
	done
	;;
set)
	set -e
	note=$dir/dockernet-$name
	if [ "$want" ]; then
		[ "$engines" ] || { echo "neither Docker nor Podman is there" >&2 && exit 1; }
		[ -e "$note" ] || echo "$want" >"$note"
	fi
	for e in $engines; do
		is=$(now "$e")
		[ "$is" != "$want" ] || continue
		if [ "$is" ]; then
			at=$(users "$e") # a plan asked, but some time ago
			[ ! "$at" ] || { echo "containers of $e are on it:" $at >&2 && exit 1; }
			"rm_$e"
		fi
		[ ! "$want" ] || "make_$e" "$@"
	done
	[ "$want" ] && echo "$want" >"$note" || rm -f "$note"
	;;
esac
