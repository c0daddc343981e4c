package fill

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

type hidden struct{ inside int }

type inner struct {
	Text string
	On   bool
}

type outer struct {
	N     uint16
	I     int64
	D     time.Duration
	T     time.Time
	A     netip.Addr
	P     *netip.Prefix
	List  []inner
	ByKey map[string]*inner
	Own   hidden
}

func TestEveryFieldIsFilled(t *testing.T) {
	var o outer
	All(t, &o, hidden{7})
	v := reflect.ValueOf(o)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is zero", v.Type().Field(i).Name)
		}
	}
	if len(o.List) != 2 || o.List[1].Text == o.List[0].Text || !o.List[1].On || o.ByKey["key"] == nil || !o.ByKey["key"].On || o.Own.inside != 7 {
		t.Errorf("%+v", o)
	}
}

type refused struct{ said string }

func (r *refused) Helper()                           {}
func (r *refused) Fatalf(format string, args ...any) { r.said = fmt.Sprintf(format, args...) }

func TestUnknownKindIsRefused(t *testing.T) {
	r := &refused{}
	All(r, &struct{ C chan int }{})
	if r.said == "" {
		t.Error("a channel was filled")
	}
}
