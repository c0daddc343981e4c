package cloud

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/hint"
)

// Compute Engine's routes are a project's: of a network, each with a name, and changed only by
// another one in its place. Every change is an operation that is waited for.
const (
	gceBurst = 100 // calls at once; a project may make 1500 a minute
	gceRate  = 10
	gceUsual = 300 // routes of a network's project, as quotas were seen
	gceMost  = 10000
	gcePage  = "500"
	gceWaits = 120 // looks at an operation
	gcePause = 500 * time.Millisecond
)

// gce is the API of one project.
type gce struct {
	login   Login
	project string
	base    string
	caller  *caller
	token   string
}

// openGCE is the API of a project, which stands in the place of a region.
func (l Login) openGCE(_ context.Context, project, _ string) (API, string, error) {
	project = cmp.Or(project, l.Getenv("CLOUDSDK_CORE_PROJECT"), l.Getenv("GOOGLE_CLOUD_PROJECT"))
	if project == "" {
		return nil, "", hint.Errorf("", "flock setnetwork NAME --project PROJECT, or export GOOGLE_CLOUD_PROJECT", "the members do not say in which project of Google Cloud they are")
	}
	base := strings.TrimSuffix(cmp.Or(l.Getenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"), "https://compute.googleapis.com/compute/v1/"), "/")
	return &gce{login: l, project: project, base: base + "/projects/" + url.PathEscape(project), caller: newCaller(l, gceBurst, gceRate)}, project, nil
}

// Limits are the quota of static routes, which projects have raised as they need.
func (*gce) Limits() (usual, most int) { return gceUsual, gceMost }

// call makes one call below the project, and decodes its answer.
func (g *gce) call(ctx context.Context, method, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if err := g.caller.pace(ctx); err != nil {
		return err
	}
	renewed := false
	for {
		if g.token == "" {
			if g.token, err = gceToken(ctx, g.login, g.caller); err != nil {
				return err
			}
		}
		err = g.caller.send(ctx, func(ctx context.Context) (*http.Request, error) {
			r, err := http.NewRequestWithContext(ctx, method, g.base+path, bytes.NewReader(text))
			if err != nil {
				return nil, refusal{err}
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+g.token)
			return r, nil
		}, func(status int, body []byte) error { return gceAnswer(status, body, answer) })
		if failed := (*gceError)(nil); errors.As(err, &failed) && failed.status == http.StatusUnauthorized && !renewed {
			g.token, renewed = "", true
			continue
		}
		return err
	}
}

// gceError is what the API refuses a call with.
type gceError struct {
	status       int
	reason, text string
}

// gceRight is a right, in the text of an error.
var gceRight = regexp.MustCompile(`compute\.[A-Za-z]+\.[A-Za-z]+`)

func (e *gceError) Error() string {
	switch right := gceRight.FindString(e.text); {
	case e.status == http.StatusUnauthorized:
		return "the credentials for Google Cloud have expired"
	case e.status == http.StatusForbidden && right != "":
		return "the login has no right to " + right
	case e.reason == "quotaExceeded" || e.reason == "QUOTA_EXCEEDED":
		return "the project's quota of routes is used up"
	}
	return "Google Cloud: " + e.reason + ": " + e.text
}

func (e *gceError) next() string {
	switch right := gceRight.FindString(e.text); {
	case e.status == http.StatusUnauthorized:
		return "log in again (gcloud auth login), then flock apply"
	case e.status == http.StatusForbidden && right != "":
		return "allow it " + right + ", then flock apply"
	case e.reason == "quotaExceeded" || e.reason == "QUOTA_EXCEEDED":
		return "raise the quota of static routes, then flock apply"
	}
	return ""
}

func gceAnswer(status int, body []byte, answer any) error {
	if status == http.StatusOK {
		if err := json.Unmarshal(body, answer); err != nil {
			return fmt.Errorf("read Google Cloud's answer: %w", err)
		}
		return nil
	}
	var doc struct {
		Error struct {
			Message string `json:"message"`
			Errors  []struct {
				Reason string `json:"reason"`
			} `json:"errors"`
		} `json:"error"`
	}
	_ = json.Unmarshal(body, &doc) // what it lacks is not told
	failed := &gceError{status: status, reason: http.StatusText(status), text: doc.Error.Message}
	if len(doc.Error.Errors) > 0 {
		failed.reason = doc.Error.Errors[0].Reason
	}
	err := hint.With(failed, "", failed.next())
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests || slices.Contains([]string{"rateLimitExceeded", "userRateLimitExceeded"}, failed.reason) {
		return later{err}
	}
	return err
}

// inProject is the path of a resource below its project.
func inProject(link string) string {
	_, path, _ := strings.Cut(link, "/projects/")
	_, path, _ = strings.Cut(path, "/")
	return path
}

// Observe looks at all instances of the project, and at its routes.
func (g *gce) Observe(ctx context.Context, q Question) (*Seen, error) {
	seen := &Seen{Fixed: "stop it, and switch canIpForward on: gcloud compute instances export, then update-from-file"}
	if err := g.instances(ctx, seen); err != nil {
		return nil, err
	}
	at := map[string]int{}
	of := func(network string) *Table {
		if _, is := at[network]; !is {
			at[network], seen.Tables = len(seen.Tables), append(seen.Tables, Table{ID: network, VPC: network, Main: true})
		}
		return &seen.Tables[at[network]]
	}
	for _, n := range seen.NICs {
		of(n.VPC)
	}
	for _, known := range q.Tables {
		of(known)
	}
	return seen, g.routes(ctx, of)
}

func (g *gce) instances(ctx context.Context, seen *Seen) error {
	query := url.Values{"maxResults": {gcePage}, "fields": {"items/*/instances(selfLink,canIpForward,networkInterfaces(network,networkIP)),nextPageToken"}}
	passed := pages{}
	for {
		var doc struct {
			Items map[string]struct {
				Instances []struct {
					Link    string `json:"selfLink"`
					Forward bool   `json:"canIpForward"`
					NICs    []struct {
						Network string `json:"network"`
						Addr    string `json:"networkIP"`
					} `json:"networkInterfaces"`
				} `json:"instances"`
			} `json:"items"`
			Next string `json:"nextPageToken"`
		}
		if err := g.call(ctx, http.MethodGet, "/aggregated/instances?"+query.Encode(), nil, &doc); err != nil {
			return err
		}
		for _, zone := range doc.Items {
			for _, i := range zone.Instances {
				for _, n := range i.NICs {
					a, err := netip.ParseAddr(n.Addr)
					if err == nil {
						seen.NICs = append(seen.NICs, NIC{ID: inProject(i.Link), Addrs: []netip.Addr{a}, VPC: lastPart(n.Network), Checked: !i.Forward})
					}
				}
			}
		}
		if more, err := passed.next(doc.Next); err != nil || !more {
			return err
		}
		query.Set("pageToken", doc.Next)
	}
}

func (g *gce) routes(ctx context.Context, of func(string) *Table) error {
	query := url.Values{"maxResults": {gcePage}, "fields": {"items(name,network,destRange,nextHopInstance,nextHopIp,nextHopGateway,nextHopNetwork,nextHopPeering,nextHopVpnTunnel,nextHopIlb,warnings(code)),nextPageToken"}}
	passed := pages{}
	for {
		var doc struct {
			Items []struct {
				Name, Network, DestRange                                                                                 string
				NextHopInstance, NextHopIP, NextHopGateway, NextHopNetwork, NextHopPeering, NextHopVpnTunnel, NextHopIlb string //nolint:revive // JSON's names, without their case
				Warnings                                                                                                 []struct{ Code string }
			} `json:"items"`
			Next string `json:"nextPageToken"`
		}
		if err := g.call(ctx, http.MethodGet, "/global/routes?"+query.Encode(), nil, &doc); err != nil {
			return err
		}
		for _, r := range doc.Items {
			to, err := netip.ParsePrefix(r.DestRange)
			if err != nil {
				continue
			}
			row := SeenRow{Name: r.Name, To: to.Masked(), By: cmp.Or(inProject(r.NextHopInstance), r.NextHopIP, lastPart(r.NextHopGateway), r.NextHopPeering, lastPart(r.NextHopVpnTunnel), r.NextHopIlb, "the network"), Local: r.NextHopNetwork != ""}
			row.Made = !row.Local && r.NextHopPeering == ""
			for _, w := range r.Warnings {
				row.Dead = row.Dead || w.Code == "NEXT_HOP_INSTANCE_NOT_FOUND"
			}
			t := of(lastPart(r.Network))
			t.Rows = append(t.Rows, row)
		}
		if more, err := passed.next(doc.Next); err != nil || !more {
			return err
		}
		query.Set("pageToken", doc.Next)
	}
}

func lastPart(link string) string { return link[strings.LastIndex(link, "/")+1:] }

// gceName is a route's: what it is for, and where it leads, since a route to another target is
// another one.
func gceName(r Row) string {
	sum := sha256.Sum256([]byte(r.Table + " " + r.To.String() + " " + r.By))
	words := strings.ToLower("flock-" + r.Network + "-" + r.To.String())
	words = regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(words, "-")
	return words[:min(len(words), 54)] + "-" + hex.EncodeToString(sum[:4])
}

// Create adds a row.
func (g *gce) Create(ctx context.Context, r Row) error {
	err := g.operate(ctx, http.MethodPost, "/global/routes", map[string]any{
		"name": gceName(r), "network": "projects/" + g.project + "/global/networks/" + r.Table, "destRange": r.To.String(),
		"nextHopInstance": "projects/" + g.project + "/" + r.By, "priority": 1000, "description": "flock, network " + r.Network,
	})
	if failed := (*gceError)(nil); errors.As(err, &failed) && (failed.status == http.StatusConflict || failed.reason == "RESOURCE_ALREADY_EXISTS") {
		return nil // a call may be repeated whose answer was lost
	}
	return err
}

// Replace adds the row before it takes out the one of before: the destination always has one.
func (g *gce) Replace(ctx context.Context, r Row) error {
	if err := g.Create(ctx, r); err != nil {
		return err
	}
	return g.Delete(ctx, r)
}

// Delete takes out the row of a name.
func (g *gce) Delete(ctx context.Context, r Row) error {
	err := g.operate(ctx, http.MethodDelete, "/global/routes/"+url.PathEscape(r.Name), nil)
	if failed := (*gceError)(nil); errors.As(err, &failed) && (failed.status == http.StatusNotFound || failed.reason == "RESOURCE_NOT_FOUND") {
		return nil
	}
	return err
}

// SetCheck is not for a running instance.
func (*gce) SetCheck(context.Context, string, bool) error {
	return errors.New("canIpForward of a running instance cannot be changed")
}

// operate begins an operation and waits until it is over.
func (g *gce) operate(ctx context.Context, method, path string, body any) error {
	type operation struct {
		Name, Status string
		Error        struct {
			Errors []struct{ Code, Message string }
		}
	}
	var op operation
	if err := g.call(ctx, method, path, body, &op); err != nil {
		return err
	}
	for range gceWaits {
		if op.Status == "DONE" {
			if len(op.Error.Errors) == 0 {
				return nil
			}
			failed := &gceError{reason: op.Error.Errors[0].Code, text: op.Error.Errors[0].Message}
			return hint.With(failed, "", failed.next())
		}
		if err := g.caller.wait(ctx, gcePause); err != nil {
			return err
		}
		name := op.Name
		op = operation{}
		if err := g.call(ctx, http.MethodGet, "/global/operations/"+url.PathEscape(name), nil, &op); err != nil {
			return err
		}
	}
	return errors.New("an operation of Google Cloud does not end")
}
