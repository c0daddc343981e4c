package passage

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/flocknet/flock/internal/fill"
	"github.com/flocknet/flock/internal/spec"
)

// nowAlone are the fields of a spec that a stage takes from the end of the change, and why.
func nowAlone() map[string]string {
	return map[string]string{
		"Cluster": "who rules the server", "Store": "who rules the server", "Server": "who rules the server", "Generation": "of the file as it is now", "Made": "as Generation",
		"DHCPs":     "a server that hands out no more must stop before another one begins",
		"Envs":      "what a CNI plugin is told of a network that goes",
		"Firewalld": "an agent adds it, from the rest", "UFW": "as Firewalld",
		"BGP": "one daemon; passwords come with the last spec",
	}
}

// Every field of a spec is in both stages, or somebody said why it is not.
func TestStagesKeepEveryField(t *testing.T) {
	for i := range reflect.TypeFor[spec.Host]().NumField() {
		field := reflect.TypeFor[spec.Host]().Field(i)
		if nowAlone()[field.Name] != "" {
			continue
		}
		if field.Type.Kind() != reflect.Slice {
			t.Errorf("%s is no list: say in both, or in nowAlone, what becomes of it", field.Name)
			continue
		}
		was, now := &spec.Host{}, &spec.Host{}
		list := reflect.MakeSlice(field.Type, 1, 1)
		fill.All(t, list.Index(0).Addr().Interface(), spec.NewAddrSet(netip.MustParseAddr("10.0.4.1")))
		reflect.ValueOf(was).Elem().Field(i).Set(list)
		for stage, h := range stages(was, now) {
			if have := reflect.ValueOf(h).Elem().Field(i); !reflect.DeepEqual(have.Interface(), list.Interface()) {
				t.Errorf("%s, stage %d: want %+v, have %+v", field.Name, stage, list, have)
			}
		}
		for stage, h := range stages(was, was) {
			if have := reflect.ValueOf(h).Elem().Field(i); have.Len() != 1 {
				t.Errorf("%s, which is in both, stage %d: %+v", field.Name, stage, have)
			}
		}
	}
}
