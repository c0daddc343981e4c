// Package cloudfake is clouds for tests: what their API references say of the calls that flock
// makes, and the service that tells servers what they are.
//
// It owns what such a cloud holds, and what of it is wrong when a test wants that. It is
// written from the references alone, and shares no code with what it is to be tried with.
package cloudfake

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Key and Secret are the credentials that the clouds accept.
const (
	Key    = "AKIDFLOCK"
	Secret = "wJalrXUtnFEMI/K7MDENG+flock"
)

// NIC is an interface of an instance.
type NIC struct {
	ID, Instance, MAC, Subnet, VPC string
	Addr                           netip.Addr
	Checked                        bool // the source/destination check
}

// Route is a row of a table.
type Route struct {
	To     string
	By     string // eni-…, local, igw-…
	Origin string
}

// Table is a route table.
type Table struct {
	ID, VPC string
	Main    bool
	Subnets []string
	Routes  []Route
}

// AWS is the part of EC2 that networks travel by. Its fields may be set while nobody uses it,
// and within Do.
type AWS struct {
	mu sync.Mutex

	Region string
	NICs   []*NIC
	Tables []*Table

	Quota   int               // routes that a table may have
	Page    int               // items in an answer; 0: as many as are asked for
	Lag     int               // how many looks after a change still show what was before
	Denied  map[string]bool   // actions that the login has no right to
	Fail    map[string]string // codes that the next call of an action fails with, once
	Expired bool              // the credentials are
	Down    bool              // nobody answers
	Now     func() time.Time  // nil: time.Now

	Changed func(*AWS) // called after a change, with AWS locked; nil: not called

	calls    map[string]int
	stale    []string // answers to looks, while Lag lasts
	shown    map[string]string
	mutating bucket
	reading  bucket
}

// bucket is how many calls are taken: EC2 refuses more.
type bucket struct {
	tokens float64
	filled time.Time
	begun  bool
}

func (b *bucket) take(now time.Time, size, rate float64) bool {
	if !b.begun {
		b.tokens, b.begun = size, true
	} else {
		b.tokens = min(size, b.tokens+now.Sub(b.filled).Seconds()*rate)
	}
	b.filled = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// Do calls f while nobody else uses the cloud.
func (a *AWS) Do(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

// Calls are how many there were since it was last asked, by action.
func (a *AWS) Calls() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.calls
	a.calls = nil
	return was
}

// Table is the one of an id.
func (a *AWS) Table(id string) *Table {
	at := slices.IndexFunc(a.Tables, func(t *Table) bool { return t.ID == id })
	if at < 0 {
		return nil
	}
	return a.Tables[at]
}

// NIC is the one of an id.
func (a *AWS) NIC(id string) *NIC {
	at := slices.IndexFunc(a.NICs, func(n *NIC) bool { return n.ID == id })
	if at < 0 {
		return nil
	}
	return a.NICs[at]
}

// Text is what the cloud holds: routes, and the checks of interfaces.
func (a *AWS) Text() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var b strings.Builder
	for _, t := range a.Tables {
		for _, r := range t.Routes {
			fmt.Fprintln(&b, t.ID, r.To, r.By, a.stateOf(r))
		}
	}
	for _, n := range a.NICs {
		fmt.Fprintln(&b, n.ID, n.Addr, "check", n.Checked)
	}
	return b.String()
}

// stateOf is blackhole where the interface of a route is gone.
func (a *AWS) stateOf(r Route) string {
	if strings.HasPrefix(r.By, "eni-") && a.NIC(r.By) == nil {
		return "blackhole"
	}
	return "active"
}

func (a *AWS) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}

// ServeHTTP answers a call of the Query API.
func (a *AWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	form, bad := url.ParseQuery(string(body))
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Down {
		panic(http.ErrAbortHandler)
	}
	action := form.Get("Action")
	if a.calls == nil {
		a.calls = map[string]int{}
	}
	a.calls[action]++
	code, text := a.admit(r, body, form)
	answer := ""
	if err != nil || bad != nil {
		code, text = "InvalidQueryParameter", "the form cannot be read"
	}
	if code == "" {
		answer, code, text = a.answer(action, form)
	}
	if code != "" {
		status := http.StatusBadRequest
		switch code {
		case "UnauthorizedOperation":
			status = http.StatusForbidden
		case "AuthFailure", "SignatureDoesNotMatch":
			status = http.StatusUnauthorized
		case "RequestLimitExceeded", "Unavailable":
			status = http.StatusServiceUnavailable
		case "InternalError":
			status = http.StatusInternalServerError
		}
		w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>ea966190-f9aa-478e-9ede-example</RequestID></Response>`, code, text)
		return
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><%sResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>59dbff89-35bd-4eac-99ed-example</requestId>%s</%sResponse>`, action, answer, action)
}

// admit refuses a call before it is looked at.
func (a *AWS) admit(r *http.Request, body []byte, form url.Values) (code, text string) {
	action := form.Get("Action")
	limit, size, rate := &a.mutating, 50.0, 5.0
	if strings.HasPrefix(action, "Describe") {
		limit, size, rate = &a.reading, 100, 20
	}
	switch fails := a.Fail[action]; {
	case r.Method != http.MethodPost || form.Get("Version") != "2016-11-15":
		return "InvalidAction", "The action is not valid for this web service"
	case a.Expired:
		return "RequestExpired", "Request has expired."
	case !a.signed(r, body):
		return "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided."
	case a.Denied[action]:
		return "UnauthorizedOperation", "You are not authorized to perform this operation. Encoded authorization failure message: abc"
	case !limit.take(a.now(), size, rate):
		return "RequestLimitExceeded", "Request limit exceeded."
	case fails != "":
		delete(a.Fail, action)
		return fails, "as the test wanted"
	}
	return "", ""
}

// signed computes Signature Version 4 as its page says, without anybody's library.
func (a *AWS) signed(r *http.Request, body []byte) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return false
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(given, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		parts[key] = value
	}
	date := r.Header.Get("X-Amz-Date")
	scope := strings.Split(parts["Credential"], "/")
	if len(scope) != 5 || len(date) < 8 || scope[0] != Key || scope[1] != date[:8] || scope[2] != a.Region || scope[3] != "ec2" {
		return false
	}
	var headers strings.Builder
	for name := range strings.SplitSeq(parts["SignedHeaders"], ";") {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.TrimSpace(value))
	}
	sum := func(text []byte) string { s := sha256.Sum256(text); return hex.EncodeToString(s[:]) }
	canonical := strings.Join([]string{r.Method, cmp.Or(r.URL.EscapedPath(), "/"), r.URL.RawQuery, headers.String(), parts["SignedHeaders"], sum(body)}, "\n")
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", date, strings.Join(scope[1:], "/"), sum([]byte(canonical))}, "\n")
	key := []byte("AWS4" + Secret)
	for _, word := range append(slices.Clone(scope[1:]), toSign) {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(word))
		key = m.Sum(nil)
	}
	return hex.EncodeToString(key) == parts["Signature"]
}

// answer is what an action gives.
func (a *AWS) answer(action string, form url.Values) (answer, code, text string) {
	form.Del("Action")
	form.Del("Version")
	switch action {
	case "DescribeNetworkInterfaces":
		return a.describe(form, func(filters map[string][]string) ([]string, string) { return a.interfaces(filters) }, "networkInterfaceSet")
	case "DescribeRouteTables":
		return a.describe(form, func(filters map[string][]string) ([]string, string) { return a.tables(filters) }, "routeTableSet")
	}
	a.show() // what is seen from now on, while it lags
	switch action {
	case "CreateRoute", "ReplaceRoute", "DeleteRoute":
		code, text = a.route(action, form)
	case "ModifyNetworkInterfaceAttribute":
		code, text = a.modify(form)
	default:
		return "", "InvalidAction", "The action " + action + " is not valid for this web service."
	}
	if code == "" {
		a.stale = slices.Repeat([]string{""}, a.Lag)
		if a.Changed != nil {
			a.Changed(a)
		}
	}
	return "<return>true</return>", code, text
}

// route makes, changes or takes out a row.
func (a *AWS) route(action string, form url.Values) (code, text string) {
	for key := range form {
		if !slices.Contains([]string{"RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock", "NetworkInterfaceId"}, key) || action == "DeleteRoute" && key == "NetworkInterfaceId" {
			return "UnknownParameter", "The parameter " + key + " is not recognized"
		}
	}
	t := a.Table(form.Get("RouteTableId"))
	to := cmp.Or(form.Get("DestinationCidrBlock"), form.Get("DestinationIpv6CidrBlock"))
	p, err := netip.ParsePrefix(to)
	by := form.Get("NetworkInterfaceId")
	switch {
	case t == nil:
		return "InvalidRouteTableID.NotFound", "The routeTable ID does not exist"
	case err != nil || p != p.Masked() || p.Addr().Is6() != form.Has("DestinationIpv6CidrBlock"):
		return "InvalidParameterValue", "Value (" + to + ") for parameter destinationCidrBlock is invalid. This is not a valid CIDR block."
	case action != "DeleteRoute" && (a.NIC(by) == nil || a.NIC(by).VPC != t.VPC):
		return "InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '" + by + "' does not exist"
	}
	at := slices.IndexFunc(t.Routes, func(r Route) bool { return r.To == to })
	made := 0
	for _, r := range t.Routes {
		if r.By != "local" && strings.Contains(r.To, ":") == p.Addr().Is6() {
			made++
		}
	}
	switch {
	case action == "CreateRoute" && at >= 0:
		return "RouteAlreadyExists", "The route identified by " + to + " already exists."
	case action == "CreateRoute" && made >= cmp.Or(a.Quota, 500):
		return "RouteLimitExceeded", "The maximum number of routes has been reached."
	case action == "CreateRoute":
		t.Routes = append(t.Routes, Route{To: to, By: by})
	case at < 0 && action == "ReplaceRoute":
		return "InvalidParameterValue", "There is no route defined for '" + to + "' in the route table. Use CreateRoute instead."
	case at < 0:
		return "InvalidRoute.NotFound", "no route with destination-cidr-block " + to + " in route table " + t.ID
	case action == "ReplaceRoute":
		t.Routes[at].By = by
	default:
		t.Routes = slices.Delete(t.Routes, at, at+1)
	}
	return "", ""
}

// modify switches a source/destination check.
func (a *AWS) modify(form url.Values) (code, text string) {
	n, value := a.NIC(form.Get("NetworkInterfaceId")), form.Get("SourceDestCheck.Value")
	switch {
	case len(form) != 2 || value != "true" && value != "false":
		return "InvalidParameterCombination", "one attribute at a time"
	case n == nil:
		return "InvalidNetworkInterfaceID.NotFound", "The networkInterface ID does not exist"
	}
	n.Checked = value == "true"
	return "", ""
}
