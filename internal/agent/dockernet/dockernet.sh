# VERB CLUSTER DIR [NETWORK [OPTION VALUE]...]: networks of Docker's and Podman's on bridges of ours.
# list: NETWORK OPTIONS, those of CLUSTER; or "none" where neither program is there.
# try: WHAT|NEXT, what is in the way of NETWORK being so, or being gone without OPTIONS.
# set: makes it so. In DIR it is noted what was made: one that does not run cannot be asked.
export PATH="$PATH:/usr/sbin:/sbin:/usr/local/bin"
verb=$1 cluster=$2 dir=$3 name=${4-}
[ $# -gt 3 ] && shift 4 || shift 3
want=$* marked=io.flocknet.cluster said=io.flocknet.options
docker() { command docker -H unix:///var/run/docker.sock "$@"; }

# Who does not run is not asked: systemd would start it for the question (docker.socket).
runs() { [ "$(cat "/proc/$(cat /var/run/docker.pid)/comm")" = dockerd ]; }
engines=
if command -v docker >/dev/null && { command -v dockerd >/dev/null || [ -S /var/run/docker.sock ]; }; then
	engines=docker
	runs 2>/dev/null && up=1 || up=
fi
command -v podman >/dev/null && engines="$engines podman"

of_docker() {
	if [ "$up" ]; then
		docker network ls --filter "label=$marked=$cluster" --format "{{.Name}} {{.Label \"$said\"}}"
	else
		for f in "$dir"/dockernet-*; do
			[ ! -f "$f" ] || echo "${f##*/dockernet-} $(cat "$f")"
		done
	fi
}
users_docker() { docker ps -a --filter "network=$name" --format '{{.Names}}'; }
has_docker() { docker network ls --format '{{.Name}}' | grep -qxF "$name"; }
rm_docker() { docker network rm "$name" >/dev/null; }
make_docker() {
	b=com.docker.network.bridge
	docker network create -d bridge --label "$marked=$cluster" --label "$said=$want" -o $b.name="$2" -o $b.inhibit_ipv4=true \
		-o $b.enable_ip_masquerade=false -o com.docker.network.driver.mtu="${12}" --subnet "$4" --gateway "$6" --ip-range "$8" "$name" >/dev/null
}

# A network of Podman's is a file, of netavark or of CNI plugins, whichever it began with.
# podman-network-create(1) makes none on a bridge that is there.
cni=/etc/cni/net.d file=/etc/containers/networks
began=$(cat /var/lib/containers/storage/defaultNetworkBackend 2>/dev/null)
[ "$began" ] || [ -e /usr/lib/podman/netavark ] || [ -e /usr/libexec/podman/netavark ] || began=cni
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
		grep -qsF "\"$marked\":\"$cluster\"" "$f" || continue
		n=$(sed 's/.*"name":"\([^"]*\)".*/\1/' "$f") o=$(sed "s/.*\"$said\":\"\([^\"]*\)\".*/\1/" "$f")
		[ "$f" = "$(path "$n")" ] && [ "$(cat "$f")" = "$(text_podman "$n" $o)" ] || o=damaged
		echo "$n $o"
	done
}
users_podman() { podman ps -a --filter "network=$name" --format '{{.Names}}'; }
has_podman() { cat "$file"/*.json "$cni"/*.conflist 2>/dev/null | grep -q "\"name\": *\"$name\""; }
rm_podman() { rm -f "$file/$name.json" "$cni/99-flock-$name.conflist"; }
make_podman() { mkdir -p "$(dirname "$(path "$name")")" && text_podman "$name" "$@" >"$(path "$name")"; }

now() {
	all=$("of_$1") || exit 1
	echo "$all" | sed -n "s/^$name //p"
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
	[ "$engines" ] || [ -z "$want" ] || echo "neither Docker nor Podman is there, which would have network $name|apt-get install docker.io, or name members that have one of them"
	for e in $engines; do
		is=$(now "$e")
		[ "$is" != "$want" ] || continue
		if [ "$e" = docker ] && [ ! "$up" ]; then
			echo "docker does not run, and cannot be told of network $name|systemctl start docker"
		elif [ "$is" ]; then
			at=$("users_$e" | sort | tr '\n' ' ')
			[ ! "$at" ] || echo "containers of $e are on network $name: $(echo "${at% }" | sed 's/ /, /g')|remove them, or $e network disconnect $name ${at%% *}"
		elif "has_$e"; then
			echo "$e has a network $name already, flock did not make it|$e network rm $name, or flock setnetwork $name --rename NEW"
		fi
	done
	;;
set)
	set -e
	note=$dir/dockernet-$name
	[ ! "$want" ] || echo "$want" >"$note"
	for e in $engines; do
		is=$(now "$e")
		[ "$is" != "$want" ] || continue
		[ ! "$is" ] || "rm_$e"
		[ ! "$want" ] || "make_$e" "$@"
	done
	[ "$want" ] || rm -f "$note"
	;;
esac
