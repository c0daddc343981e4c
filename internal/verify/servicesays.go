package verify

import (
	"fmt"
	"slices"
	"strings"
)

// Silent is the state of a network whose paths pass, and on whose bridges containers get no
// address, or do not find names.
const Silent = "silent"

// fault is what is wrong on one bridge.
type fault struct {
	what string // without where
	why  string // what it may be, and what mends that
	next string
}

// SaysServices are sentences about what is wrong on the bridges of a network, one for all bridges
// with the same, and what to type next. Apart are members that are not as the cluster file says.
func SaysServices(list []*Service, apart map[string]bool) (says []string, next string) {
	where := map[fault][]string{}
	var order []fault
	hangs := map[string]bool{} // servers on whose own bridge neither answers
	for _, s := range list {
		hangs[s.By] = hangs[s.By] || s.Server == s.By && s.Asked() && !s.Leases() && !s.Names()
	}
	for _, s := range list {
		for _, f := range s.faults(apart, hangs[s.By]) {
			if where[f] == nil {
				order = append(order, f)
			}
			where[f] = append(where[f], s.Server)
		}
	}
	for _, f := range order {
		says = append(says, f.what+" on the bridge of "+strings.Join(where[f], ", ")+f.why)
		if next == "" {
			next = f.next
		}
	}
	return says, next
}

// keeps is what keeps questions to a port of By away, and what mends that.
func (s *Service) keeps(port string, apart map[string]bool, hangs bool) (why, next string) {
	for _, server := range []string{s.By, s.Server} {
		if apart[server] {
			return ": " + server + " is not as the cluster file says", "flock apply"
		}
	}
	if hangs {
		return fmt.Sprintf(": does its dnsmasq hang, or does a firewall on %s drop %s that comes in by %s?", s.By, port, s.Bridge), "flock doctor " + s.By
	}
	return fmt.Sprintf(": does a firewall on %s drop %s that comes in by %s?", s.By, port, s.Bridge), "on " + s.By + ": nft list ruleset"
}

// faults are what is wrong on the bridge. With hangs neither DHCP nor names answer on that of By itself.
func (s *Service) faults(apart map[string]bool, hangs bool) (out []fault) {
	if s.Err != nil {
		return []fault{{"DHCP and names were not tried", ": " + s.Err.Error(), ""}}
	}
	why := func(port string) (string, string) { return s.keeps(port, apart, hangs) }
	for _, d := range s.sides {
		four := d.subnet.Addr().Is4()
		what, port := "DHCP of "+s.By+" gives no address", "UDP port 67"
		switch {
		case d.auto:
			what, port = s.By+" does not advertise "+d.subnet.String(), "ICMPv6"
		case !four:
			what, port = "DHCPv6 of "+s.By+" gives no address", "UDP port 547"
		}
		if !d.lease.IsValid() {
			f := fault{what: what}
			if f.why, f.next = why(port); s.Full && four && !apart[s.By] {
				f.why, f.next = ": all are leased", "flock status "+s.Network
			}
			out = append(out, f)
		}
		for _, w := range []struct {
			is   bool
			what string
			who  mac
		}{
			{d.clash(), fmt.Sprintf("DHCP of %s offers %s, which %s has,", s.By, d.lease, d.taken[d.lease]), d.taken[d.lease]},
			{d.other.from.IsValid(), fmt.Sprintf("%s (%s) offers addresses that are not of %s", d.other.from, d.other.mac, d.subnet), d.other.mac},
		} {
			if w.is {
				out = append(out, fault{w.what, "", fmt.Sprintf("flock each -- 'bridge fdb show | grep %s'", w.who)})
			}
		}
		if d.agrees || !d.source(s.own).IsValid() {
			continue
		}
		f := fault{what: fmt.Sprintf("the resolver %s of %s does not answer", d.resolver, s.By)}
		switch f.why, f.next = why("UDP port 53"); {
		case d.told:
			f.what = fmt.Sprintf("the resolver %s of %s does not know %s", d.resolver, s.By, s.name)
			if f.next != "flock apply" {
				f.why, f.next = ": does another program answer there?", "on "+s.By+": ss -ulpn sport = 53"
			}
		case !d.near && f.next != "flock apply":
			f.what, f.why, f.next = fmt.Sprintf("nobody has the resolver's address %s", d.resolver), ", as far as it hears", "flock status "+s.Network
		}
		out = append(out, f)
	}
	return out
}

// SumServices says in a few words what answers on the bridges of a network; "": nothing was tried.
func SumServices(list []*Service) string {
	tried := slices.DeleteFunc(slices.Clone(list), func(s *Service) bool { return s.Err != nil || len(s.sides) == 0 })
	if len(tried) == 0 {
		return ""
	}
	count := func(is func(*Service) bool) (n int) {
		for _, s := range tried {
			if is(s) {
				n++
			}
		}
		return n
	}
	leases, asked := count((*Service).Leases), count((*Service).Asked)
	names := count(func(s *Service) bool { return s.Asked() && s.Names() })
	says := fmt.Sprintf("DHCP answers on %d of %d bridges, names on %d", leases, len(tried), names)
	switch {
	case leases == len(tried) && names == len(tried):
		says = "DHCP and names answer"
	case asked < len(tried):
		says += fmt.Sprintf(" of %d that could be asked", asked)
	}
	if n := count((*Service).strange); n > 0 {
		says += fmt.Sprintf(", another fault on %d", n)
	}
	return says
}
