# What the kernel has of some devices, without what differs from boot to boot, the mark of flock, and
# what networkd is not asked for.
import json, subprocess, sys

def run(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, text=True).stdout

for dev in sys.argv[1:]:
    link = json.loads(run("ip", "-j", "-d", "link", "show", dev))[0]
    info = link["linkinfo"]
    data = {k: v for k, v in info.get("info_data", {}).items() if "timer" not in k and not k.startswith("topology")}
    if info["info_kind"] == "bridge":
        data = {k: data[k] for k in ("forward_delay", "stp_state", "ageing_time", "vlan_filtering", "mcast_snooping")}
    print(dev, info["info_kind"], link["mtu"], link.get("address"), link.get("master"), "UP" in link["flags"], sorted(data.items()))
    for a in json.loads(run("ip", "-j", "addr", "show", dev))[0]["addr_info"]:
        print(dev, "addr", a["family"], a["local"], a["prefixlen"], a.get("broadcast"), a["scope"], "nodad" in a, a.get("deprecated", False), a["preferred_life_time"])
    for line in sorted(run("bridge", "fdb", "show", "dev", dev).splitlines()):
        if "permanent" in line and ("dst" in line):
            print(dev, "fdb", line)
    for line in sorted(run("ip", "neigh", "show", "dev", dev, "nud", "permanent").splitlines()):
        print(dev, "neigh", line)
    if info["info_kind"] == "wireguard":
        own, *peers = run("wg", "show", dev, "dump").splitlines()
        print(dev, "wg", own.split()[1:])
        for peer in sorted(peers): # without the time of the last handshake, and counters
            words = peer.split("\t")
            print(dev, "peer", words[:3], sorted(words[3].split(",")), words[7])
for family in ("-4", "-6"):
    for line in sorted(run("ip", family, "route", "show").splitlines()):
        words = line.replace(" linkdown", "").replace(" dead", "").split()
        if "proto" in words and words[words.index("proto") + 1] == "70" or set(sys.argv[1:]) & set(words):
            print(" ".join(words))
