package cloudfake

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Token is what Google's API accepts.
const Token = "ya29.flock"

// Instance is a virtual machine of Compute Engine, with one interface.
type Instance struct {
	Zone, Name, Network string
	Addr                netip.Addr
	Forward             bool // canIpForward
	Gone                bool
}

// GCERoute is a route of Compute Engine.
type GCERoute struct {
	Name, Network, To, Description string
	By                             string // zones/Z/instances/NAME, or a gateway
	Priority                       int
}

// GCE is the part of Compute Engine that networks travel by, for one project. Its fields may be
// set while nobody uses it, and within Do.
type GCE struct {
	mu sync.Mutex

	Project   string
	Instances []*Instance
	Routes    []GCERoute

	Quota   int  // routes; 0: 300
	Page    int  // items in an answer; 0: as many as are asked for
	Polls   int  // looks at an operation before it is done
	Expired bool // the token is
	Down    bool
	Denied  map[string]bool // compute.routes.create and others
	Changed func(*GCE)      // called after a change, with GCE locked; nil: not called

	calls      int
	operations map[string]*gceOperation
}

type gceOperation struct {
	polls int
	code  string
}

// Do calls f while nobody else uses the cloud.
func (g *GCE) Do(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

// Calls are how many there were since it was last asked.
func (g *GCE) Calls() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.calls
	g.calls = 0
	return n
}

// Text is what the cloud holds.
func (g *GCE) Text() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var b strings.Builder
	for _, r := range g.Routes {
		fmt.Fprintln(&b, r.Network, r.To, r.By)
	}
	return b.String()
}

var gceNames = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)

// ServeHTTP answers a call below compute/v1.
func (g *GCE) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.Down {
		panic(http.ErrAbortHandler)
	}
	g.calls++
	path, known := strings.CutPrefix(r.URL.Path, "/compute/v1/projects/"+g.Project+"/")
	switch {
	case g.Expired || r.Header.Get("Authorization") != "Bearer "+Token:
		gceFails(w, http.StatusUnauthorized, "authError", "Invalid Credentials")
	case !known:
		gceFails(w, http.StatusNotFound, "notFound", "The resource '"+r.URL.Path+"' was not found")
	case path == "aggregated/instances" && g.may(w, "compute.instances.list"):
		g.instances(w, r)
	case path == "global/routes" && r.Method == http.MethodGet && g.may(w, "compute.routes.list"):
		g.list(w, r)
	case path == "global/routes" && r.Method == http.MethodPost && g.may(w, "compute.routes.create"):
		g.insert(w, body)
	case strings.HasPrefix(path, "global/routes/") && r.Method == http.MethodDelete && g.may(w, "compute.routes.delete"):
		g.remove(w, strings.TrimPrefix(path, "global/routes/"))
	case strings.HasPrefix(path, "global/operations/") && r.Method == http.MethodGet:
		name := strings.TrimPrefix(path, "global/operations/")
		if op := g.operations[name]; op != nil {
			op.polls--
			g.operation(w, name, op)
			return
		}
		gceFails(w, http.StatusNotFound, "notFound", "no such operation")
	}
}

func (g *GCE) may(w http.ResponseWriter, right string) bool {
	if g.Denied[right] {
		gceFails(w, http.StatusForbidden, "forbidden", "Required '"+right+"' permission for 'projects/"+g.Project+"/global/routes/x'")
	}
	return !g.Denied[right]
}

func gceFails(w http.ResponseWriter, status int, reason, text string) {
	w.WriteHeader(status)
	gceSays(w, map[string]any{"error": map[string]any{"code": status, "message": text, "errors": []any{map[string]string{"reason": reason, "message": text}}}})
}

func gceSays(w io.Writer, doc any) { _ = json.NewEncoder(w).Encode(doc) }

func (g *GCE) link(path string) string {
	return "https://www.googleapis.com/compute/v1/projects/" + g.Project + "/" + path
}

// page is a part of a list, and the token of the next.
func (g *GCE) page(r *http.Request, n int) (from, to int, next string) {
	size, err := strconv.Atoi(r.URL.Query().Get("maxResults"))
	if err != nil || size < 1 || size > 500 {
		size = 500
	}
	if g.Page > 0 {
		size = min(size, g.Page)
	}
	from, _ = strconv.Atoi(r.URL.Query().Get("pageToken"))
	from = min(from, n)
	if to = min(n, from+size); to < n {
		next = strconv.Itoa(to)
	}
	return from, to, next
}

func (g *GCE) instances(w http.ResponseWriter, r *http.Request) {
	zones := map[string]any{"zones/empty": map[string]any{"warning": map[string]string{"code": "NO_RESULTS_ON_PAGE"}}}
	there := slices.DeleteFunc(slices.Clone(g.Instances), func(i *Instance) bool { return i.Gone })
	from, to, next := g.page(r, len(there))
	for _, i := range there[from:to] {
		zone, _ := zones["zones/"+i.Zone].(map[string]any)
		if zone == nil {
			zone = map[string]any{"instances": []any{}}
			zones["zones/"+i.Zone] = zone
		}
		zone["instances"] = append(zone["instances"].([]any), map[string]any{
			"selfLink": g.link("zones/" + i.Zone + "/instances/" + i.Name), "canIpForward": i.Forward,
			"networkInterfaces": []any{map[string]string{"network": g.link("global/networks/" + i.Network), "networkIP": i.Addr.String()}},
		})
	}
	gceSays(w, map[string]any{"items": zones, "nextPageToken": next})
}

func (g *GCE) there(by string) bool {
	return slices.ContainsFunc(g.Instances, func(i *Instance) bool { return !i.Gone && by == "zones/"+i.Zone+"/instances/"+i.Name })
}

func (g *GCE) list(w http.ResponseWriter, r *http.Request) {
	items := []any{}
	from, to, next := g.page(r, len(g.Routes))
	for _, route := range g.Routes[from:to] {
		item := map[string]any{"name": route.Name, "network": g.link("global/networks/" + route.Network), "destRange": route.To, "priority": route.Priority, "description": route.Description}
		switch {
		case route.By == "":
			item["nextHopNetwork"] = g.link("global/networks/" + route.Network)
		case strings.HasPrefix(route.By, "zones/"):
			item["nextHopInstance"] = g.link(route.By)
			if !g.there(route.By) {
				item["warnings"] = []any{map[string]string{"code": "NEXT_HOP_INSTANCE_NOT_FOUND"}}
			}
		default:
			item["nextHopGateway"] = g.link("global/gateways/" + route.By)
		}
		items = append(items, item)
	}
	gceSays(w, map[string]any{"items": items, "nextPageToken": next})
}

// insert makes a route; what its target says is found out by the operation.
func (g *GCE) insert(w http.ResponseWriter, body []byte) {
	var doc map[string]any
	if err := json.Unmarshal(body, &doc); err != nil {
		gceFails(w, http.StatusBadRequest, "parseError", "Parse Error")
		return
	}
	text := func(key string) string { s, _ := doc[key].(string); return s }
	for key := range doc {
		if !slices.Contains([]string{"name", "network", "destRange", "nextHopInstance", "priority", "description"}, key) {
			gceFails(w, http.StatusBadRequest, "invalid", "Unknown name \""+key+"\"")
			return
		}
	}
	p, err := netip.ParsePrefix(text("destRange"))
	network, isNetwork := strings.CutPrefix(text("network"), "projects/"+g.Project+"/global/networks/")
	by, isInstance := strings.CutPrefix(text("nextHopInstance"), "projects/"+g.Project+"/")
	code := ""
	switch {
	case err != nil || p != p.Masked() || !gceNames.MatchString(text("name")) || !isNetwork || !isInstance:
		gceFails(w, http.StatusBadRequest, "invalid", "Invalid value for field")
		return
	case slices.ContainsFunc(g.Routes, func(r GCERoute) bool { return r.Name == text("name") }):
		gceFails(w, http.StatusConflict, "alreadyExists", "The resource already exists")
		return
	case len(g.Routes) >= max(g.Quota, 1) && g.Quota > 0:
		code = "QUOTA_EXCEEDED"
	case !slices.ContainsFunc(g.Instances, func(i *Instance) bool {
		return by == "zones/"+i.Zone+"/instances/"+i.Name && !i.Gone && i.Forward && i.Network == network
	}):
		code = "INVALID_USAGE"
	default:
		g.Routes = append(g.Routes, GCERoute{Name: text("name"), Network: network, To: p.String(), By: by, Priority: 1000, Description: text("description")})
	}
	g.begin(w, code)
}

func (g *GCE) remove(w http.ResponseWriter, name string) {
	at := slices.IndexFunc(g.Routes, func(r GCERoute) bool { return r.Name == name })
	if at < 0 {
		gceFails(w, http.StatusNotFound, "notFound", "The resource was not found")
		return
	}
	g.Routes = slices.Delete(g.Routes, at, at+1)
	g.begin(w, "")
}

// begin is an operation that takes some looks.
func (g *GCE) begin(w http.ResponseWriter, code string) {
	if g.operations == nil {
		g.operations = map[string]*gceOperation{}
	}
	name := "operation-" + strconv.Itoa(len(g.operations)+1)
	g.operations[name] = &gceOperation{polls: g.Polls, code: code}
	if g.Changed != nil {
		g.Changed(g)
	}
	g.operation(w, name, g.operations[name])
}

func (g *GCE) operation(w http.ResponseWriter, name string, op *gceOperation) {
	doc := map[string]any{"name": name, "status": "RUNNING"}
	if op.polls <= 0 {
		doc["status"] = "DONE"
		if op.code != "" {
			doc["error"] = map[string]any{"errors": []any{map[string]string{"code": op.code, "message": "as it is"}}}
		}
	}
	gceSays(w, doc)
}

// Metadata is the metadata service: it knows who asks by the address.
func (g *GCE) Metadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		if r.Header.Get("Metadata-Flavor") != "Google" {
			http.Error(w, "", http.StatusForbidden)
			return
		}
		from, _ := netip.ParseAddrPort(r.RemoteAddr)
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, i := range g.Instances {
			text, ok := map[string]string{
				"project/project-id": g.Project, "instance/name": i.Name, "instance/zone": "projects/123/zones/" + i.Zone,
				"instance/network-interfaces/": "0/\n", "instance/network-interfaces/0/ip": i.Addr.String(), "instance/network-interfaces/0/network": "projects/123/networks/" + i.Network,
			}[strings.TrimPrefix(r.URL.Path, "/computeMetadata/v1/")]
			if i.Addr == from.Addr().Unmap() && ok {
				fmt.Fprint(w, text)
				return
			}
		}
		http.NotFound(w, r)
	})
}
