package cloudfake

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// AzureNIC is an interface of a virtual machine of Azure.
type AzureNIC struct {
	Name, VNet, Subnet string
	Addr               netip.Addr
	Forward            bool // enableIPForwarding
}

// AzureTable is a route table, and AzureRoute a part of one.
type (
	AzureTable struct {
		Group, Name, VNet string
		Subnets           []string
		Routes            []AzureRoute
	}
	AzureRoute struct{ Name, To, By string }
)

// Azure is the part of Azure that networks travel by, of one subscription, and the server of its
// tokens. Its fields may be set while nobody uses it, and within Do.
type Azure struct {
	mu sync.Mutex

	Subscription string
	NICs         []*AzureNIC
	Tables       []*AzureTable

	Page    int             // items in an answer; 0: all
	Busy    int             // changes that are refused after each one
	Expired bool            // the token is
	Down    bool            // nobody answers
	Denied  map[string]bool // Microsoft.Network/routeTables/routes/write and others
	Changed func(*Azure)    // called after a change, with Azure locked; nil: not called

	calls, busy int
}

// Do calls f while nobody else uses the cloud.
func (a *Azure) Do(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

// Calls are how many there were since it was last asked.
func (a *Azure) Calls() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.calls
	a.calls = 0
	return n
}

// Text is what the cloud holds.
func (a *Azure) Text() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var b strings.Builder
	for _, t := range a.Tables {
		for _, r := range t.Routes {
			fmt.Fprintln(&b, t.Group+"/"+t.Name, r.To, r.By)
		}
	}
	for _, n := range a.NICs {
		fmt.Fprintln(&b, n.Name, n.Addr, "forwards", n.Forward)
	}
	return b.String()
}

func azureFails(w http.ResponseWriter, status int, code, text string) {
	w.WriteHeader(status)
	gceSays(w, map[string]any{"error": map[string]string{"code": code, "message": text}})
}

// ServeHTTP answers calls, and gives tokens for the secret.
func (a *Azure) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/tenant/oauth2/v2.0/token" {
		if r.FormValue("client_secret") != Secret || r.FormValue("grant_type") != "client_credentials" {
			w.WriteHeader(http.StatusUnauthorized)
			gceSays(w, map[string]string{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."})
			return
		}
		gceSays(w, map[string]string{"access_token": Token})
		return
	}
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Down {
		panic(http.ErrAbortHandler)
	}
	a.calls++
	path, ours := strings.CutPrefix(r.URL.Path, "/subscriptions/"+a.Subscription+"/")
	kind := "nothing"
	for _, k := range []string{"networkInterfaces", "routeTables/routes", "routeTables"} {
		first, second, _ := strings.Cut(k, "/")
		if strings.Contains(path, "Microsoft.Network/"+first) && (second == "" || strings.Contains(path, "/"+second+"/")) {
			kind = k
			break
		}
	}
	right := "Microsoft.Network/" + kind + "/" + map[string]string{http.MethodGet: "read", http.MethodPut: "write", http.MethodDelete: "delete"}[r.Method]
	switch {
	case a.Expired || r.Header.Get("Authorization") != "Bearer "+Token:
		azureFails(w, http.StatusUnauthorized, "ExpiredAuthenticationToken", "The access token expiry is before the current time.")
	case !ours || r.URL.Query().Get("api-version") == "":
		azureFails(w, http.StatusNotFound, "SubscriptionNotFound", "The subscription could not be found.")
	case a.Denied[right]:
		azureFails(w, http.StatusForbidden, "AuthorizationFailed", "The client 'x' does not have authorization to perform action '"+right+"' over scope '/y'.")
	case r.Method != http.MethodGet && a.busy > 0:
		a.busy--
		azureFails(w, http.StatusConflict, "AnotherOperationInProgress", "Another operation on this or dependent resource is in progress.")
	default:
		a.serve(w, r, path, kind, body)
	}
}

func (a *Azure) id(path string) string { return "/subscriptions/" + a.Subscription + "/" + path }

func (a *Azure) nic(n *AzureNIC) map[string]any {
	return map[string]any{
		"id": a.id("resourceGroups/Lab/providers/Microsoft.Network/networkInterfaces/" + n.Name), "location": "westeurope", "tags": map[string]string{"theirs": "stays"},
		"properties": map[string]any{"enableIPForwarding": n.Forward, "ipConfigurations": []any{map[string]any{"name": "ipconfig1", "properties": map[string]any{
			"privateIPAddress": n.Addr.String(), "subnet": map[string]string{"id": a.subnet(n.VNet, n.Subnet)},
		}}}},
	}
}

func (a *Azure) subnet(vnet, name string) string {
	return a.id("resourceGroups/Lab/providers/Microsoft.Network/virtualNetworks/" + vnet + "/subnets/" + name)
}

func (a *Azure) serve(w http.ResponseWriter, r *http.Request, path, kind string, body []byte) {
	words := strings.Split(path, "/")
	name := words[len(words)-1]
	switch {
	case path == "providers/Microsoft.Network/networkInterfaces":
		var list []any
		for _, n := range a.NICs {
			list = append(list, a.nic(n))
		}
		a.page(w, r, list)
	case path == "providers/Microsoft.Network/routeTables":
		var list []any
		for _, t := range a.Tables {
			subnets, routes := []any{}, []any{}
			for _, s := range t.Subnets {
				subnets = append(subnets, map[string]string{"id": a.subnet(t.VNet, s)})
			}
			for _, route := range t.Routes {
				p := map[string]string{"addressPrefix": route.To, "nextHopType": "VirtualAppliance", "nextHopIpAddress": route.By}
				if _, err := netip.ParseAddr(route.By); err != nil {
					p = map[string]string{"addressPrefix": route.To, "nextHopType": route.By}
				}
				routes = append(routes, map[string]any{"name": route.Name, "properties": p})
			}
			list = append(list, map[string]any{"id": a.id("resourceGroups/" + t.Group + "/providers/Microsoft.Network/routeTables/" + t.Name), "properties": map[string]any{"subnets": subnets, "routes": routes}})
		}
		a.page(w, r, list)
	case kind == "networkInterfaces":
		a.one(w, r, name, body)
	case kind == "routeTables/routes" && len(words) == 8:
		a.route(w, r, words, body)
	default:
		azureFails(w, http.StatusNotFound, "ResourceNotFound", "The Resource '"+path+"' was not found.")
	}
}

func (a *Azure) page(w http.ResponseWriter, r *http.Request, list []any) {
	from, _ := strconv.Atoi(r.URL.Query().Get("$skipToken"))
	to := len(list)
	doc := map[string]any{}
	if a.Page > 0 && from+a.Page < to {
		to = from + a.Page
		doc["nextLink"] = "http://" + r.Host + r.URL.Path + "?api-version=1&$skipToken=" + strconv.Itoa(to)
	}
	doc["value"] = append([]any{}, list[min(from, to):to]...)
	gceSays(w, doc)
}

// one reads or writes an interface: nothing of it may be left out.
func (a *Azure) one(w http.ResponseWriter, r *http.Request, name string, body []byte) {
	at := slices.IndexFunc(a.NICs, func(n *AzureNIC) bool { return n.Name == name })
	if at < 0 {
		azureFails(w, http.StatusNotFound, "ResourceNotFound", "no such interface")
		return
	}
	if r.Method == http.MethodPut {
		var doc struct {
			Location   string
			Tags       map[string]string
			Properties struct {
				EnableIPForwarding bool  `json:"enableIPForwarding"`
				Configs            []any `json:"ipConfigurations"`
			}
		}
		if err := json.Unmarshal(body, &doc); err != nil || doc.Location == "" || doc.Tags["theirs"] != "stays" || len(doc.Properties.Configs) != 1 {
			azureFails(w, http.StatusBadRequest, "InvalidRequestContent", "something is left out")
			return
		}
		a.NICs[at].Forward = doc.Properties.EnableIPForwarding
		a.changed()
	}
	gceSays(w, a.nic(a.NICs[at]))
}

func (a *Azure) changed() {
	a.busy = a.Busy
	if a.Changed != nil {
		a.Changed(a)
	}
}

// route writes or takes out a route.
func (a *Azure) route(w http.ResponseWriter, r *http.Request, words []string, body []byte) {
	group, table, name := words[1], words[5], words[7]
	at := slices.IndexFunc(a.Tables, func(t *AzureTable) bool { return strings.EqualFold(t.Group, group) && strings.EqualFold(t.Name, table) })
	if at < 0 {
		azureFails(w, http.StatusNotFound, "ResourceNotFound", "no such table")
		return
	}
	t := a.Tables[at]
	i := slices.IndexFunc(t.Routes, func(r AzureRoute) bool { return r.Name == name })
	switch r.Method {
	case http.MethodDelete:
		if i >= 0 {
			t.Routes = slices.Delete(t.Routes, i, i+1)
		}
	case http.MethodPut:
		var doc struct {
			Properties struct{ AddressPrefix, NextHopType, NextHopIPAddress string }
		}
		err := json.Unmarshal(body, &doc)
		p, bad := netip.ParsePrefix(doc.Properties.AddressPrefix)
		_, worse := netip.ParseAddr(doc.Properties.NextHopIPAddress)
		double := slices.ContainsFunc(t.Routes, func(r AzureRoute) bool { return r.Name != name && r.To == doc.Properties.AddressPrefix })
		switch {
		case err != nil || bad != nil || worse != nil || p != p.Masked() || doc.Properties.NextHopType != "VirtualAppliance":
			azureFails(w, http.StatusBadRequest, "InvalidRequestFormat", "Cannot parse the request.")
			return
		case double:
			azureFails(w, http.StatusBadRequest, "RouteConflict", "another route has the address prefix")
			return
		case i < 0:
			t.Routes = append(t.Routes, AzureRoute{Name: name})
			i = len(t.Routes) - 1
		}
		t.Routes[i].To, t.Routes[i].By = doc.Properties.AddressPrefix, doc.Properties.NextHopIPAddress
		w.WriteHeader(http.StatusCreated)
	}
	a.changed()
	gceSays(w, map[string]string{"name": name})
}

// Metadata is the instance metadata service: it knows who asks by the address.
func (a *Azure) Metadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata") != "true" || r.URL.Query().Get("api-version") == "" || r.URL.Query().Get("format") != "text" {
			http.Error(w, "", http.StatusBadRequest)
			return
		}
		from, _ := netip.ParseAddrPort(r.RemoteAddr)
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, n := range a.NICs {
			text, ok := map[string]string{
				"compute/subscriptionId": a.Subscription, "network/interface": "0/\n", "network/interface/0/ipv4/ipAddress/0/privateIpAddress": n.Addr.String(),
			}[strings.TrimPrefix(r.URL.Path, "/metadata/instance/")]
			if ok && n.Addr == from.Addr().Unmap() {
				fmt.Fprint(w, text)
				return
			}
		}
		http.NotFound(w, r)
	})
}
