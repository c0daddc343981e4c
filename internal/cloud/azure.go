package cloud

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/hint"
)

// Azure's Resource Manager: routes are parts of a table, and lead to an address. It refuses a
// change of what it is still changing: that is tried again.
const (
	azureVersion = "2024-05-01"
	azureScope   = "https://management.azure.com/.default"
	azureAdvised = "log in with az: az login; or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
	azureBurst   = 100
	azureRate    = 5
	azureRows    = 400 // of a table
)

// azure is the API of one subscription.
type azure struct {
	login        Login
	subscription string
	base         string
	caller       *caller
	token        string
	nics         map[string]string // resources of interfaces that were seen, by address
}

// openAzure is the API of a subscription, which stands in the place of a region.
func (l Login) openAzure(_ context.Context, subscription, _ string) (API, string, error) {
	subscription = cmp.Or(subscription, l.Getenv("AZURE_SUBSCRIPTION_ID"))
	if subscription == "" {
		return nil, "", hint.Errorf("", "flock setnetwork NAME --project SUBSCRIPTION, or export AZURE_SUBSCRIPTION_ID", "the members do not say in which subscription of Azure they are")
	}
	base := strings.TrimSuffix(cmp.Or(l.Getenv("ARM_ENDPOINT"), "https://management.azure.com"), "/")
	return &azure{login: l, subscription: subscription, base: base, caller: newCaller(l, azureBurst, azureRate), nics: map[string]string{}}, subscription, nil
}

// Limits are the quota of routes of a table.
func (*azure) Limits() (usual, most int) { return azureRows, azureRows }

// azureToken is a token to call the API with: a service principal's, or what the az program has.
func azureToken(ctx context.Context, l Login, c *caller) (string, error) {
	if id := l.Getenv("AZURE_CLIENT_ID"); id != "" && l.Getenv("AZURE_CLIENT_SECRET") != "" {
		at := strings.TrimSuffix(cmp.Or(l.Getenv("AZURE_AUTHORITY_HOST"), "https://login.microsoftonline.com"), "/") + "/" + url.PathEscape(l.Getenv("AZURE_TENANT_ID")) + "/oauth2/v2.0/token"
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {l.Getenv("AZURE_CLIENT_SECRET")}, "scope": {azureScope}}
		return fetchToken(ctx, c, at, form, "", azureAdvised)
	}
	out, err := printed(ctx, programWithin, "Azure", azureAdvised, "az", "account", "get-access-token", "--resource", "https://management.azure.com/", "--query", "accessToken", "--output", "tsv")
	return strings.TrimSpace(string(out)), err
}

// call makes one call about a resource, and decodes its answer.
func (a *azure) call(ctx context.Context, method, at string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if err := a.caller.pace(ctx); err != nil {
		return err
	}
	if strings.HasPrefix(at, "/") {
		at = a.base + at + "?api-version=" + azureVersion
	}
	if !strings.HasPrefix(at, a.base+"/") {
		return fmt.Errorf("Azure sends to %s, which is not its API", at) //nolint:staticcheck // a name
	}
	renewed := false
	for {
		if a.token == "" {
			if a.token, err = azureToken(ctx, a.login, a.caller); err != nil {
				return err
			}
		}
		err = a.caller.send(ctx, func(ctx context.Context) (*http.Request, error) {
			r, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(text))
			if err != nil {
				return nil, refusal{err}
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+a.token)
			return r, nil
		}, func(status int, body []byte) error { return azureAnswer(status, body, answer) })
		if failed := (*azureError)(nil); errors.As(err, &failed) && failed.status == http.StatusUnauthorized && !renewed {
			a.token, renewed = "", true
			continue
		}
		return err
	}
}

// azureError is what the API refuses a call with.
type azureError struct {
	status     int
	code, text string
}

// azureRight is a right, in the text of an error.
var azureRight = regexp.MustCompile(`Microsoft\.[A-Za-z/.]+[A-Za-z]`)

func (e *azureError) Error() string {
	switch right := azureRight.FindString(e.text); {
	case e.status == http.StatusUnauthorized:
		return "the credentials for Azure have expired"
	case e.status == http.StatusForbidden && right != "":
		return "the login has no right to " + right
	}
	return "Azure: " + e.code + ": " + e.text
}

func (e *azureError) next() string {
	switch right := azureRight.FindString(e.text); {
	case e.status == http.StatusUnauthorized:
		return "log in again (az login), then flock apply"
	case e.status == http.StatusForbidden && right != "":
		return "allow it " + right + ", then flock apply"
	}
	return ""
}

func azureAnswer(status int, body []byte, answer any) error {
	if status < http.StatusMultipleChoices {
		if answer == nil || len(body) == 0 {
			return nil
		}
		if err := json.Unmarshal(body, answer); err != nil {
			return fmt.Errorf("read Azure's answer: %w", err)
		}
		return nil
	}
	var doc struct {
		Error struct{ Code, Message string } `json:"error"`
	}
	_ = json.Unmarshal(body, &doc) // what it lacks is not told
	failed := &azureError{status: status, code: cmp.Or(doc.Error.Code, http.StatusText(status)), text: doc.Error.Message}
	err := hint.With(failed, "", failed.next())
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests || slices.Contains([]string{"AnotherOperationInProgress", "RetryableError"}, failed.code) {
		return later{err}
	}
	return err
}

// listed adds what all pages of a list have.
func listed[T any](ctx context.Context, a *azure, sort string, take func(T)) error {
	at := "/subscriptions/" + a.subscription + "/providers/Microsoft.Network/" + sort
	passed := pages{}
	for {
		var doc struct {
			Value    []T    `json:"value"`
			NextLink string `json:"nextLink"`
		}
		if err := a.call(ctx, http.MethodGet, at, nil, &doc); err != nil {
			return err
		}
		for _, v := range doc.Value {
			take(v)
		}
		at = doc.NextLink
		if more, err := passed.next(at); err != nil || !more {
			return err
		}
	}
}

// part is the word that follows another one in the id of a resource.
func part(id, after string) string {
	words := strings.Split(strings.ToLower(id), "/")
	at := slices.Index(words, strings.ToLower(after))
	if at < 0 || at+1 >= len(words) {
		return ""
	}
	return words[at+1]
}

// azureID is a resource that another one names.
type azureID struct {
	ID string `json:"id"`
}

// Observe looks at all interfaces of the subscription, and at its route tables.
func (a *azure) Observe(ctx context.Context, _ Question) (*Seen, error) {
	seen := &Seen{}
	type nic struct {
		ID         string `json:"id"`
		Properties struct {
			Forward bool `json:"enableIPForwarding"`
			Configs []struct {
				Properties struct {
					Addr   string  `json:"privateIPAddress"`
					Subnet azureID `json:"subnet"`
				} `json:"properties"`
			} `json:"ipConfigurations"`
		} `json:"properties"`
	}
	err := listed(ctx, a, "networkInterfaces", func(n nic) {
		for _, c := range n.Properties.Configs {
			if addr, err := netip.ParseAddr(c.Properties.Addr); err == nil {
				a.nics[addr.String()] = n.ID
				subnet := strings.ToLower(c.Properties.Subnet.ID)
				seen.NICs = append(seen.NICs, NIC{ID: addr.String(), Addrs: []netip.Addr{addr}, Subnet: subnet, VPC: part(subnet, "virtualNetworks"), Checked: !n.Properties.Forward})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	type table struct {
		ID         string `json:"id"`
		Properties struct {
			Subnets []azureID `json:"subnets"`
			Routes  []struct {
				Name       string `json:"name"`
				Properties struct {
					To  string `json:"addressPrefix"`
					By  string `json:"nextHopIpAddress"`
					How string `json:"nextHopType"`
				} `json:"properties"`
			} `json:"routes"`
		} `json:"properties"`
	}
	return seen, listed(ctx, a, "routeTables", func(in table) {
		t := Table{ID: part(in.ID, "resourceGroups") + "/" + part(in.ID, "routeTables")}
		for _, s := range in.Properties.Subnets {
			t.Subnets, t.VPC = append(t.Subnets, strings.ToLower(s.ID)), part(s.ID, "virtualNetworks")
		}
		for _, r := range in.Properties.Routes {
			if to, err := netip.ParsePrefix(r.Properties.To); err == nil {
				t.Rows = append(t.Rows, SeenRow{Name: r.Name, To: to.Masked(), By: cmp.Or(r.Properties.By, r.Properties.How), Made: true})
			}
		}
		seen.Tables = append(seen.Tables, t)
	})
}

// route is the resource of a row.
func (a *azure) route(r Row) string {
	group, table, _ := strings.Cut(r.Table, "/")
	name := cmp.Or(r.Name, "flock-"+r.Network+"-"+strings.NewReplacer("/", "-", ":", "_").Replace(r.To.String()))
	return "/subscriptions/" + a.subscription + "/resourceGroups/" + url.PathEscape(group) + "/providers/Microsoft.Network/routeTables/" + url.PathEscape(table) + "/routes/" + url.PathEscape(name)
}

// Create adds a row.
func (a *azure) Create(ctx context.Context, r Row) error {
	return a.call(ctx, http.MethodPut, a.route(r), map[string]any{"properties": map[string]string{
		"addressPrefix": r.To.String(), "nextHopType": "VirtualAppliance", "nextHopIpAddress": r.By,
	}}, nil)
}

// Replace gives the row of a name another target.
func (a *azure) Replace(ctx context.Context, r Row) error { return a.Create(ctx, r) }

// Delete takes out the row of a name.
func (a *azure) Delete(ctx context.Context, r Row) error {
	err := a.call(ctx, http.MethodDelete, a.route(r), nil, nil)
	if failed := (*azureError)(nil); errors.As(err, &failed) && failed.status == http.StatusNotFound {
		return nil
	}
	return err
}

// SetCheck switches enableIPForwarding, the other way round, of the interface with an address:
// the whole interface is written as it was read.
func (a *azure) SetCheck(ctx context.Context, nic string, on bool) error {
	at := a.nics[nic]
	if at == "" {
		return fmt.Errorf("no interface has the address %s", nic)
	}
	whole := map[string]any{}
	if err := a.call(ctx, http.MethodGet, at, nil, &whole); err != nil {
		return err
	}
	properties, _ := whole["properties"].(map[string]any)
	if properties == nil {
		return errors.New("Azure's answer has no properties") //nolint:staticcheck // a name
	}
	properties["enableIPForwarding"] = !on
	return a.call(ctx, http.MethodPut, at, whole, nil)
}
