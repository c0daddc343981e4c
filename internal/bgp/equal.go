//go:build linux

package bgp

import (
	"strings"

	api "github.com/osrg/gobgp/v3/api"
)

// rank is what decides between paths before ties are broken by who was first: all
// paths of the best rank are used side by side (ECMP).
type rank struct {
	local, internal bool
	preference, med uint32
	length, origin  int
}

// equal says whether b is as good as a, the best, for a speaker of the AS own.
func equal(a, b *api.Path, own uint32) bool { return rankOf(a, own) == rankOf(b, own) }

func rankOf(path *api.Path, own uint32) rank {
	r := rank{local: !sourceOf(path).IsValid(), internal: path.GetSourceAsn() == own, preference: defaultPreference}
	for _, a := range path.GetPattrs() {
		var preference api.LocalPrefAttribute
		var med api.MultiExitDiscAttribute
		var origin api.OriginAttribute
		switch {
		case a.MessageIs(&preference) && a.UnmarshalTo(&preference) == nil:
			r.preference = preference.LocalPref
		case a.MessageIs(&med) && a.UnmarshalTo(&med) == nil:
			r.med = med.Med
		case a.MessageIs(&origin) && a.UnmarshalTo(&origin) == nil:
			r.origin = int(origin.Origin)
		}
	}
	for _, word := range strings.Fields(asPathOf(path)) {
		if !strings.HasPrefix(word, "(") {
			r.length++
		}
	}
	return r
}

// defaultPreference is that of a path without LOCAL_PREF.
const defaultPreference = 100
