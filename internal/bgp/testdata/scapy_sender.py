"""Builds BGP's messages with scapy, right and wrong, and says them to a speaker.

Words: REMOTE FIRST COUNT SEED. The address FIRST holds a session with sound routes. Each of
the COUNT addresses after it takes one case over and over: a message with fields that scapy
chooses (fuzz), or one that is changed in some octets. Of each connection that was taken it
writes a line:

    ADDRESS CASE said CODE SUBCODE     it ended it by this NOTIFICATION
    ADDRESS CASE heard CODE SUBCODE    it was ended by this one
    ADDRESS CASE closed|stands         neither
"""

import ipaddress
import random
import socket
import sys
import threading
import time

from scapy.contrib import bgp as module
from scapy.contrib.bgp import *  # noqa: F403
from scapy.packet import fuzz

module.bgp_module_conf.use_2_bytes_asn = False
remote, first, count, seed = sys.argv[1], ipaddress.ip_address(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
random.seed(seed)
KEEPALIVE = bytes(BGPHeader(type=4))


def opening(n, **more):
    values = dict(version=4, my_as=65001, hold_time=90, bgp_id="9.9.9.%d" % (n + 1), opt_params=[
        BGPOptParam(param_value=BGPCapMultiprotocol(afi=1, safi=1)),
        BGPOptParam(param_value=BGPCapGeneric(code=2, cap_data=b"")),
        BGPOptParam(param_value=BGPCapFourBytesASN(asn=65001)),
    ])
    values.update(more)
    return BGPOpen(**values)


def attributes(local, *more):
    path = BGPPAAS4BytesPath(segments=[BGPPAAS4BytesPath.ASPathSegment(segment_type=2, segment_value=[65001])])
    return [
        BGPPathAttr(type_flags=0x40, type_code=1, attribute=BGPPAOrigin(origin=0)),
        BGPPathAttr(type_flags=0x40, type_code=2, attribute=path),
        BGPPathAttr(type_flags=0x40, type_code=3, attribute=BGPPANextHop(next_hop=str(local))),
    ] + list(more)


def update(local, prefix, *more):
    return BGPUpdate(path_attr=attributes(local, *more), nlri=[BGPNLRI_IPv4(prefix=prefix)])


def message(kind, body):
    return bytes(BGPHeader(type=kind) / body)


def mutated(data):
    """Some octets of the body are others, more or fewer; the length is right."""
    body = bytearray(data[19:])
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(body) + 1)
        what = random.randrange(4)
        if what == 0:
            body.insert(at, random.randrange(256))
        elif what == 1:
            del body[at:at + random.randint(1, 4)]
        elif body:
            body[min(at, len(body) - 1)] = random.choice([0, 1, 127, 128, 255, random.randrange(256)])
    return data[:16] + (19 + len(body)).to_bytes(2, "big") + data[18:19] + bytes(body)


# What is optional, by scapy's fields of random values.
OPTIONAL = {
    4: BGPPAMultiExitDisc, 5: BGPPALocalPref, 6: BGPPAAtomicAggregate, 7: BGPPAAggregator, 8: BGPPACommunity, 9: BGPPAOriginatorID,
    10: BGPPAClusterList, 14: BGPPAMPReachNLRI, 15: BGPPAMPUnreachNLRI, 16: BGPPAExtComms, 17: BGPPAAS4Path, 18: BGPPAAS4Aggregator,
}


def some_attribute():
    code = random.choice(sorted(OPTIONAL))
    flags = module.attributes_flags.get(code, 0xC0)
    return BGPPathAttr(type_flags=random.choice([flags, flags, flags, 0x40, 0x80, 0xC0, 0xE0]), type_code=code, attribute=fuzz(OPTIONAL[code]()))


def case(n, local):
    """The name, what is said in place of an OPEN, and what after the session stands."""
    prefix = "172.31.%d.0/24" % (n + 1)
    sound = message(1, opening(n))
    kind = n % 8
    if kind == 0:
        return "fuzzed open", message(1, fuzz(BGPOpen(version=4, bgp_id="9.9.9.9"))), []
    if kind == 1:
        capability = fuzz(random.choice([BGPCapGeneric, BGPCapMultiprotocol, BGPCapGracefulRestart, BGPCapFourBytesASN])())
        return "fuzzed capability", message(1, opening(n, opt_params=[BGPOptParam(param_value=capability)])), []
    if kind == 2:
        return "mutated open", mutated(sound), []
    if kind == 3:
        return "notification", sound, [message(3, BGPNotification(error_code=random.randint(1, 7), error_subcode=random.randint(0, 11)))]
    if kind == 4:
        return "fuzzed update", sound, [message(2, update(local, prefix, some_attribute())) for _ in range(20)]
    if kind == 5:
        return "mutated update", sound, [mutated(message(2, update(local, prefix, some_attribute()))) for _ in range(20)]
    if kind == 6:
        return "fuzzed refresh", sound, [message(5, fuzz(BGPRouteRefresh(orf_data=b""))) for _ in range(20)]
    return "fuzzed header", sound, [bytes(BGPHeader(len=random.choice([18, 19, 22, 23, 4097, 65535]), type=random.randint(0, 9))) + b"\0" * 23]


def built(n, local):
    """A case; what scapy itself cannot build is drawn again."""
    while True:
        try:
            return case(n, local)
        except Exception:  # noqa: BLE001: struct.error and others of its fields
            continue


def read(conn, until):
    """The next message: its kind and body; None when it is over."""
    data = b""
    want = 19
    while len(data) < want:
        conn.settimeout(max(0.001, until - time.monotonic()))
        more = conn.recv(want - len(data))
        if not more:
            return None
        data += more
        if len(data) >= 19:
            want = int.from_bytes(data[16:18], "big")
    return data[18], data[19:]


# How long a session that nobody ends is kept, in seconds.
STANDS = 3


def once(local, name, start, rest):
    conn = socket.create_connection((remote, 179), 1, (str(local), 0))
    end = None  # turned away: it rests for some seconds after a session
    until = time.monotonic() + (1e6 if name == "sound" else STANDS)
    try:
        conn.sendall(start)
        told = False
        while True:
            got = read(conn, until)
            if got is None:
                break
            kind, body = got
            end = "closed"
            if kind == 3:
                end = "heard %d %d" % (body[0], body[1])
                break
            if kind == 1:
                conn.sendall(KEEPALIVE)
            if kind == 4 and not told:
                told = True
                for m in rest:
                    conn.sendall(m)
                    if name == "notification":
                        end = "said %d %d" % (m[19], m[20])
                        return
            elif kind == 4:
                conn.sendall(KEEPALIVE)
    except socket.timeout:
        end = "stands"
    except OSError:
        pass
    finally:
        conn.close()
        if end:
            # At once: other threads write too.
            sys.stdout.write("%s %s %s\n" % (local, name, end))
            sys.stdout.flush()


def over_and_over(*case):
    while True:
        try:
            once(*case)
        except OSError:
            pass
        time.sleep(0.1)


cases = [(first, "sound", message(1, opening(250)), [message(2, update(first, "172.31.0.0/24", BGPPathAttr(type_flags=0xC0, type_code=8, attribute=BGPPACommunity(community=65537))))])]
for n in range(count):
    local = first + 1 + n
    cases.append((local,) + built(n, local))
for c in cases:
    threading.Thread(target=over_and_over, args=c, daemon=True).start()
threading.Event().wait()
