package spec

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a server says of itself. The largest servers are far below.
const (
	maxInterfaces = 4096
	maxPrefixes   = 128 << 10 // of a server in all
	maxWord       = 256       // bytes of a name or a version
	maxRegion     = 32        // bytes of the name of a cloud's region
	devMax        = 15        // bytes of a device's name (IFNAMSIZ)
)

// Places are the directories for the agent's programs on a server, each in a directory that is
// named by its version: they go to the first that takes a program. /usr is read-only on some
// distributions, and a file system may be mounted with noexec.
var Places = []string{"/usr/local/lib/flock", "/opt/flock-agent", "/var/lib/flock-agent"}

// VersionLength is how many hexadecimal digits of its hash name a program there: PLACE/VERSION/flock.
const VersionLength = 16

// archs are what Go calls Linux's architectures.
var archs = []string{
	"386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64", "s390x",
}

// KnownArch says whether arch is the name of an architecture of Linux, as Go has them.
func KnownArch(arch string) bool { return slices.Contains(archs, arch) }

// CheckFacts refuses facts that no server can have: an unknown architecture, names that
// the kernel does not allow, addresses and counts out of bounds. Facts of one server
// decide what others are sent, and are saved in the cluster file. It is a function
// because the linker would keep a method in the agents, which do not call it.
func CheckFacts(f *Facts) error {
	switch {
	case !KnownArch(f.Arch):
		return fmt.Errorf("architecture %s", quoted(f.Arch))
	case f.Init != "" && f.Init != "systemd":
		return fmt.Errorf("init %s", quoted(f.Init))
	case !slices.Contains([]string{"", KernelDevice, UserspaceDevice}, f.WireGuard):
		return fmt.Errorf("a WireGuard device of sort %s", quoted(f.WireGuard))
	case !metric(f.Metric4) || !metric(f.Metric6):
		return fmt.Errorf("default routes of metrics %d and %d", f.Metric4, f.Metric6)
	case len(f.Interfaces) > maxInterfaces:
		return fmt.Errorf("%d interfaces", len(f.Interfaces))
	}
	for _, word := range []string{f.Hostname, f.Machine, f.Kernel, f.Agent} {
		if !isWord(word) {
			return fmt.Errorf("a name %s", quoted(word))
		}
	}
	if len(f.Cloud) > maxInterfaces {
		return fmt.Errorf("%d interfaces in a cloud", len(f.Cloud))
	}
	for _, n := range f.Cloud {
		if !n.Addr.IsValid() || !isWord(n.Cloud) || !inURL(n.Region, "") || !inURL(n.VPC, "") || !inURL(n.ID, "/") || (n.Cloud == "aws" || n.Cloud == "ali") && n.Region != "" && !IsRegion(n.Region) {
			return fmt.Errorf("an interface %s in a cloud", quoted(n.ID))
		}
	}
	for _, dev := range []string{f.Default4, f.Default6} {
		if dev != "" && !isDevice(dev) {
			return fmt.Errorf("a default route by device %s", quoted(dev))
		}
	}
	return checkPrefixes(f)
}

func checkPrefixes(f *Facts) error {
	lists := [][]netip.Prefix{f.Prefixes, f.Routed, f.Local, f.Awaited, f.Refused}
	seen := map[string]bool{}
	for _, i := range f.Interfaces {
		switch {
		case !isDevice(i.Name):
			return fmt.Errorf("a device %s", quoted(i.Name))
		case seen[i.Name]:
			return fmt.Errorf("two devices %s", quoted(i.Name))
		case i.MTU < 0 || i.MTU > math.MaxInt32:
			return fmt.Errorf("an MTU of %d", i.MTU)
		}
		seen[i.Name] = true
		lists = append(lists, i.Addrs, i.Direct)
	}
	total := 0
	for _, list := range lists {
		total += len(list)
		if slices.ContainsFunc(list, func(p netip.Prefix) bool { return !p.IsValid() }) {
			return fmt.Errorf("an address that is none")
		}
	}
	if total > maxPrefixes {
		return fmt.Errorf("%d addresses and subnets", total)
	}
	return nil
}

func metric(n int) bool { return n >= 0 && int64(n) <= math.MaxUint32 }

// isDevice says whether the kernel allows name for a device (dev_valid_name), and
// whether a terminal and a TOML file can hold it.
func isDevice(name string) bool {
	return name != "" && len(name) <= devMax && name != "." && name != ".." && isWord(name) && !strings.ContainsAny(name, "/: ")
}

// IsRegion says whether name may be a region's of a cloud that has it in the name of a host.
func IsRegion(name string) bool {
	return name != "" && len(name) <= maxRegion && !strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' })
}

// inURL says whether s leaves an address alone of which it becomes a part: letters, digits and few
// signs, besides those of more, and nothing that leads upwards.
func inURL(s, more string) bool {
	return len(s) <= maxWord && !strings.Contains(s, "..") && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.:"+more, r)
	})
}

// isWord says whether s is short text of one line.
func isWord(s string) bool {
	return len(s) <= maxWord && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// quoted is s for an error, shortened if it is long.
func quoted(s string) string {
	const most = 40
	if len(s) > most {
		s = s[:most] + "…"
	}
	return fmt.Sprintf("%q", s)
}
