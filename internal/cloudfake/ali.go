package cloudfake

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the signature that the API defines
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// AliInstance is an instance of Alibaba Cloud, with one interface.
type AliInstance struct {
	ID, VPC, VSwitch string
	Addr             netip.Addr
}

// AliTable is a route table, and AliEntry a custom row of one.
type (
	AliTable struct {
		ID, VPC   string
		System    bool
		VSwitches []string
		Entries   []AliEntry
	}
	AliEntry struct{ ID, To, By string }
)

// Ali is the part of Alibaba Cloud that networks travel by, in one region. Its fields may be set
// while nobody uses it, and within Do.
type Ali struct {
	mu sync.Mutex

	Region    string
	Instances []*AliInstance
	Tables    []*AliTable

	Page    int             // rows in an answer; 0: as many as are asked for
	Busy    int             // changes that are refused after each one, because it is not over
	Quota   int             // rows of a table; 0: 200
	Expired bool            // the token is
	Down    bool            // nobody answers
	Denied  map[string]bool // actions that the login has no right to
	Changed func(*Ali)      // called after a change, with Ali locked; nil: not called

	calls, made, busy int
	seen              map[string]bool
}

// Do calls f while nobody else uses the cloud.
func (a *Ali) Do(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

// Calls are how many there were since it was last asked.
func (a *Ali) Calls() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.calls
	a.calls = 0
	return n
}

// Text is what the cloud holds.
func (a *Ali) Text() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var b strings.Builder
	for _, t := range a.Tables {
		for _, e := range t.Entries {
			fmt.Fprintln(&b, t.ID, e.To, e.By)
		}
	}
	return b.String()
}

// signed computes the signature as its page says, from what was sent.
func (a *Ali) signed(form url.Values) bool {
	given := form.Get("Signature")
	form.Del("Signature")
	escape := func(text string) string {
		var b strings.Builder
		for _, c := range []byte(text) {
			if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		}
		return b.String()
	}
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(form)) { // by their names alone
		pairs = append(pairs, escape(key)+"="+escape(form.Get(key)))
	}
	mac := hmac.New(sha1.New, []byte(Secret+"&"))
	mac.Write([]byte("POST&%2F&" + escape(strings.Join(pairs, "&"))))
	nonce := form.Get("SignatureNonce")
	fresh := nonce != "" && !a.seen[nonce]
	if a.seen == nil {
		a.seen = map[string]bool{}
	}
	a.seen[nonce] = true
	return fresh && form.Get("AccessKeyId") == Key && base64.StdEncoding.EncodeToString(mac.Sum(nil)) == given
}

// ServeHTTP answers a call of the products ecs and vpc.
func (a *Ali) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, err := url.ParseQuery(string(body))
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Down || err != nil {
		panic(http.ErrAbortHandler)
	}
	a.calls++
	action := form.Get("Action")
	code := ""
	switch {
	case a.Expired:
		code = "InvalidSecurityToken.Expired"
	case !a.signed(form):
		code = "SignatureDoesNotMatch"
	case form.Get("RegionId") != a.Region:
		code = "InvalidRegionId.NotFound"
	case a.Denied[action]:
		code = "Forbidden.RAM"
	case form.Get("Version") == "2014-05-26" && action == "DescribeNetworkInterfaces":
		a.interfaces(w, form)
		return
	case form.Get("Version") == "2016-04-28" && action == "DescribeRouteTableList":
		a.list(w, form)
		return
	case form.Get("Version") == "2016-04-28" && action == "DescribeRouteEntryList":
		code = a.entries(w, form)
	case form.Get("Version") == "2016-04-28":
		code = a.change(w, action, form)
	default:
		code = "InvalidAction.NotFound"
	}
	if code != "" {
		status := http.StatusBadRequest
		if strings.HasPrefix(code, "Forbidden") {
			status = http.StatusForbidden
		}
		w.WriteHeader(status)
		gceSays(w, map[string]string{"Code": code, "Message": "as it is", "RequestId": "4EC47282"})
	}
}

func (a *Ali) interfaces(w http.ResponseWriter, form url.Values) {
	list := []any{}
	for i := 1; form.Has("PrivateIpAddress." + strconv.Itoa(i)); i++ {
		for _, n := range a.Instances {
			if n.Addr.String() == form.Get("PrivateIpAddress."+strconv.Itoa(i)) {
				list = append(list, map[string]string{"NetworkInterfaceId": "eni-" + n.ID, "InstanceId": n.ID, "VpcId": n.VPC, "VSwitchId": n.VSwitch, "PrivateIpAddress": n.Addr.String()})
			}
		}
	}
	gceSays(w, map[string]any{"NetworkInterfaceSets": map[string]any{"NetworkInterfaceSet": list}})
}

func (a *Ali) list(w http.ResponseWriter, form url.Values) {
	list := []any{}
	for _, t := range a.Tables {
		if t.VPC == form.Get("VpcId") {
			kind := map[bool]string{true: "System", false: "Custom"}[t.System]
			list = append(list, map[string]any{"RouteTableId": t.ID, "VpcId": t.VPC, "RouteTableType": kind, "VSwitchIds": map[string]any{"VSwitchId": t.VSwitches}})
		}
	}
	page, _ := strconv.Atoi(form.Get("PageNumber"))
	size, _ := strconv.Atoi(form.Get("PageSize"))
	from := min(len(list), max(page-1, 0)*size)
	gceSays(w, map[string]any{"TotalCount": len(list), "RouterTableList": map[string]any{"RouterTableListType": list[from:min(len(list), from+size)]}})
}

func (a *Ali) table(id string) *AliTable {
	at := slices.IndexFunc(a.Tables, func(t *AliTable) bool { return t.ID == id })
	if at < 0 {
		return nil
	}
	return a.Tables[at]
}

func (a *Ali) entries(w http.ResponseWriter, form url.Values) (code string) {
	t := a.table(form.Get("RouteTableId"))
	if t == nil {
		return "InvalidRouteTableId.NotFound"
	}
	size, err := strconv.Atoi(form.Get("MaxResult"))
	if err != nil || size > 100 || form.Get("RouteEntryType") != "Custom" {
		return "InvalidParameter"
	}
	if a.Page > 0 {
		size = min(size, a.Page)
	}
	from, _ := strconv.Atoi(form.Get("NextToken"))
	to, next, list := min(len(t.Entries), from+size), "", []any{}
	if to < len(t.Entries) {
		next = strconv.Itoa(to)
	}
	for _, e := range t.Entries[min(from, to):to] {
		list = append(list, map[string]any{
			"RouteEntryId": e.ID, "DestinationCidrBlock": e.To, "Status": "Available", "Type": "Custom",
			"NextHops": map[string]any{"NextHop": []any{map[string]string{"NextHopId": e.By, "NextHopType": "Instance"}}},
		})
	}
	gceSays(w, map[string]any{"NextToken": next, "RouteEntrys": map[string]any{"RouteEntry": list}})
	return ""
}

// change does one change at a time.
func (a *Ali) change(w http.ResponseWriter, action string, form url.Values) (code string) {
	if a.busy > 0 {
		a.busy--
		return "TaskConflict"
	}
	there := func(id string) bool {
		return slices.ContainsFunc(a.Instances, func(i *AliInstance) bool { return i.ID == id })
	}
	var t *AliTable
	at := -1
	for _, in := range a.Tables {
		if i := slices.IndexFunc(in.Entries, func(e AliEntry) bool { return e.ID == form.Get("RouteEntryId") }); i >= 0 {
			t, at = in, i
		}
	}
	switch {
	case action == "CreateRouteEntry":
		t = a.table(form.Get("RouteTableId"))
		to := form.Get("DestinationCidrBlock")
		p, err := netip.ParsePrefix(to)
		switch {
		case t == nil:
			return "InvalidRouteTableId.NotFound"
		case err != nil || p != p.Masked():
			return "InvalidCidrBlock.Malformed"
		case form.Get("NextHopType") != "Instance" || !there(form.Get("NextHopId")):
			return "InvalidNextHopId.NotFound"
		case slices.ContainsFunc(t.Entries, func(e AliEntry) bool { return e.To == to }):
			return "InvalidCidrBlock.Duplicate"
		case len(t.Entries) >= max(a.Quota, 1) && (a.Quota > 0 || len(t.Entries) >= 200):
			return "QuotaExceeded.RouteEntry"
		}
		a.made++
		t.Entries = append(t.Entries, AliEntry{ID: "rte-" + strconv.Itoa(a.made), To: to, By: form.Get("NextHopId")})
	case at < 0:
		return "InvalidRouteEntry.NotFound"
	case action == "ModifyRouteEntry" && form.Get("NewNextHopType") == "Instance" && there(form.Get("NewNextHopId")):
		t.Entries[at].By = form.Get("NewNextHopId")
	case action == "DeleteRouteEntry":
		t.Entries = slices.Delete(t.Entries, at, at+1)
	default:
		return "InvalidAction.NotFound"
	}
	a.busy = a.Busy
	if a.Changed != nil {
		a.Changed(a)
	}
	gceSays(w, map[string]string{"RequestId": "4EC47282"})
	return ""
}

// Metadata is the metadata service: it knows who asks by the address, and wants a token.
func (a *Ali) Metadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && r.Header.Get("X-Aliyun-Ecs-Metadata-Token-Ttl-Seconds") != "" {
			fmt.Fprint(w, token)
			return
		}
		if r.Header.Get("X-Aliyun-Ecs-Metadata-Token") != token {
			http.Error(w, "", http.StatusForbidden)
			return
		}
		from, _ := netip.ParseAddrPort(r.RemoteAddr)
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, i := range a.Instances {
			text, ok := map[string]string{"region-id": a.Region, "instance-id": i.ID, "vpc-id": i.VPC, "private-ipv4": i.Addr.String()}[strings.TrimPrefix(r.URL.Path, "/latest/meta-data/")]
			if ok && i.Addr == from.Addr().Unmap() {
				fmt.Fprint(w, text)
				return
			}
		}
		http.NotFound(w, r)
	})
}
