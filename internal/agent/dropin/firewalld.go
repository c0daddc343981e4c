//go:build linux

package dropin

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/templates"
)

// firewalld refuses what enters by a device, or from an address, of no zone that lets it
// pass. A zone of the cluster's own does (docs/decisions/036): a file of its permanent
// configuration, which holds whenever it runs.

// zoneName is the name of the zone. firewalld takes 17 letters at most.
func zoneName(s *host.Files) string { return spec.IfName(s.Cluster, "flock") }

func firewalls(s *host.Files) []dropIn {
	return []dropIn{{
		path:  filepath.Join(s.Paths.Firewalld, zoneName(s)+".xml"),
		there: sysfile.Exists(s.Paths.Firewalld), unit: "firewalld.service",
		text: templates.Unmanaged.Firewalld, reload: []string{"firewall-cmd", "--reload"},
	}}
}

// impliedZone is want with what firewalld must let pass, where it is installed: bridges, and
// what has addresses of networks. A tunnel's device stays in its zone, by which servers reach
// each other. What an administrator gave to another zone for good stays there.
func impliedZone(k *host.Host, want *spec.Host) (*spec.Host, error) {
	d := firewalls(k.Files)[0]
	if want.Empty() || !d.there {
		return want, nil
	}
	others := ""
	files, err := sysfile.List(k.Paths.Firewalld, "", ".xml")
	for _, file := range files {
		if file != d.path {
			text, _ := sysfile.ReadIfThere(file) // what cannot be read is no zone
			others += text
		}
	}
	var lets []string
	let := func(what string) {
		if !strings.Contains(others, `"`+what+`"/>`) {
			lets = append(lets, what)
		}
	}
	for _, l := range want.Links {
		if l.Kind == spec.Bridge {
			let(l.Name)
		}
	}
	for _, c := range want.Claims {
		if c.Shared {
			let(c.Prefix.String())
		}
	}
	for _, p := range want.Keeps {
		let(p.Subnet.String())
		for _, to := range p.To {
			let(to.String())
		}
	}
	out := *want
	out.Firewalld = told(lets)
	return &out, err
}

// passes says whether firewalld lets lets pass, or does not run.
func passes(ctx context.Context, s *host.Files, lets []string) bool {
	const name = "org.fedoraproject.FirewallD1"
	text, err := unit.Output(ctx, "busctl", "--auto-start=no", "call", name, "/org/fedoraproject/FirewallD1", name, "getZoneSettings", "s", zoneName(s))
	if err != nil {
		return !strings.Contains(text, "INVALID_ZONE")
	}
	return !slices.ContainsFunc(lets, func(l string) bool { return !strings.Contains(text, `"`+l+`"`) })
}

// reloads is what a step costs: whether there is something to forget, firewalld takes a second
// to tell.
const reloads = "it is reloaded, and forgets what was set without --permanent"

// FirewalldFamily is what firewalld lets pass.
var FirewalldFamily = family.Family{
	What: "services: look at firewalld",
	Observe: func(ctx context.Context, k *host.Host, want, have *spec.Host) error {
		list, err := observeDropIns(k.Files, firewalls(k.Files), want.Firewalld)
		if len(list) > 0 && len(want.Firewalld) > 0 && !passes(ctx, k.Files, list[0].Links) {
			list = []spec.Unmanage{{}}
		}
		have.Firewalld = list
		return err
	},
	Implied: impliedZone,
	Diff: func(d *family.Difference) {
		compareTold(d, d.Want.Firewalld, d.Have.Firewalld, "firewalld")
	},
	Explain: func(k *host.Host, op *family.Op) {
		if runs(context.Background(), k.Files, firewalls(k.Files)[0]) {
			if op.Step.Detail != "" {
				op.Step.Detail += "; "
			}
			op.Step.Detail += reloads
		}
	},
	One: func(ctx context.Context, a *family.Applier, op family.Op) error {
		s := a.Host.Files
		list := firewalls(s)
		want, ok := op.Want.(spec.Unmanage)
		if !ok {
			if err := removeDropIns(ctx, s, list); err != nil {
				return err
			}
			return sysfile.Remove(list[0].path + ".old") // what firewalld keeps of it
		}
		err := setDropIns(ctx, s, list, want)
		if err == nil && !passes(ctx, s, want.Links) { // the file was right: what runs was changed
			err = reload(ctx, s, list[0])
		}
		return err
	},
	Tried:  family.Tried{Files: func(s *host.Files, _ family.Op) ([]string, bool) { return []string{s.Paths.Firewalld}, true }},
	Marked: true,
	Remains: func(k *host.Host) ([]string, error) {
		if path := firewalls(k.Files)[0].path; sysfile.Exists(path) {
			return []string{path}, nil
		}
		return nil, nil
	},
}
