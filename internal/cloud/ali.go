package cloud

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the signature that the API defines
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// Alibaba Cloud's RPC APIs: a signed form is sent, JSON comes back. A VPC does one change at a time,
// and refuses others meanwhile: they are tried again.
const (
	aliECS   = "2014-05-26"
	aliVPC   = "2016-04-28"
	aliBurst = 50
	aliRate  = 5
	aliUsual = 200 // custom routes of a table, unless the quota was raised
	aliMost  = 1000
	aliAddrs = 100 // addresses of a call
	aliPage  = "50"
	aliRows  = "100"
)

// ali is the API of one region.
type ali struct {
	login  *aliLogin
	region string
	caller *caller
	key    *aliKey
}

func (l Login) openAli(_ context.Context, region, profile string) (API, string, error) {
	login, err := newAliLogin(l.Getenv, profile)
	if err != nil {
		return nil, region, err
	}
	if region == "" {
		region = login.region()
	}
	if region == "" {
		return nil, "", hint.Errorf("", "flock setnetwork NAME --region REGION, or export ALIBABA_CLOUD_REGION_ID", "the members do not say in which region of Alibaba Cloud they are, and no login does")
	}
	if !spec.IsRegion(region) { // it becomes a part of a host's name
		return nil, region, hint.Errorf("", "another region: flock setnetwork NAME --region REGION", "%q is no region of Alibaba Cloud", region)
	}
	return &ali{login: login, region: region, caller: newCaller(l, aliBurst, aliRate)}, region, nil
}

// Limits are the quota of custom routes of a table.
func (*ali) Limits() (usual, most int) { return aliUsual, aliMost }

// call makes one call of a product, and decodes its answer.
func (a *ali) call(ctx context.Context, product, action string, form url.Values, answer any) error {
	version := map[string]string{"ecs": aliECS, "vpc": aliVPC}[product]
	if !strings.HasPrefix(action, "Describe") {
		if err := a.caller.pace(ctx); err != nil {
			return err
		}
	}
	if a.key == nil {
		key, err := a.login.key()
		if err != nil {
			return err
		}
		a.key = key
	}
	return a.caller.send(ctx, func(ctx context.Context) (*http.Request, error) {
		all := url.Values{"Action": {action}, "Version": {version}, "RegionId": {a.region}}
		for key, value := range form {
			all[key] = value
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.login.endpoint(product, a.region)+"/", strings.NewReader(signAli(all, *a.key, a.caller.now(), rand.Text())))
		if err != nil {
			return nil, refusal{err}
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r, nil
	}, func(status int, body []byte) error { return aliAnswer(product+":"+action, status, body, answer) })
}

// signAli is a form with its signature (HMAC-SHA1, version 1.0).
func signAli(form url.Values, key aliKey, now time.Time, nonce string) string {
	form.Set("Format", "JSON")
	form.Set("AccessKeyId", key.ID)
	form.Set("SignatureMethod", "HMAC-SHA1")
	form.Set("SignatureVersion", "1.0")
	form.Set("SignatureNonce", nonce)
	form.Set("Timestamp", now.UTC().Format("2006-01-02T15:04:05Z"))
	if key.Token != "" {
		form.Set("SecurityToken", key.Token)
	}
	text := aliEscape(form.Encode(), false)
	mac := hmac.New(sha1.New, []byte(key.Secret+"&"))
	mac.Write([]byte("POST&%2F&" + aliEscape(text, true)))
	return text + "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// aliEscape is text as the signature wants it: escaped, or as url.Values escaped it.
func aliEscape(text string, anew bool) string {
	if anew {
		text = url.QueryEscape(text)
	}
	return strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(text)
}

// aliError is what the API refuses a call with.
type aliError struct{ action, code, text string }

func (e *aliError) Error() string {
	switch {
	case strings.HasPrefix(e.code, "Forbidden"), e.code == "NoPermission":
		return "the login has no right to " + e.action
	case e.expired():
		return "the credentials for Alibaba Cloud have expired"
	case e.unknown():
		return "Alibaba Cloud does not accept the credentials (" + e.code + ")"
	case strings.HasPrefix(e.code, "QuotaExceeded"):
		return "the route table is full"
	}
	return e.action + ": " + e.code + ": " + e.text
}

func (e *aliError) expired() bool { return strings.HasPrefix(e.code, "InvalidSecurityToken") }
func (e *aliError) unknown() bool {
	return strings.HasPrefix(e.code, "InvalidAccessKeyId") || strings.HasPrefix(e.code, "SignatureDoesNotMatch") || e.code == "IncompleteSignature"
}

func (e *aliError) next() string {
	switch {
	case strings.HasPrefix(e.code, "Forbidden"), e.code == "NoPermission":
		return "allow it " + e.action + ", then flock apply"
	case e.expired(), e.unknown():
		return "log in again (aliyun configure), then flock apply"
	case strings.HasPrefix(e.code, "QuotaExceeded"):
		return "raise the quota of custom routes of a table, then flock apply"
	}
	return ""
}

// aliBusy are codes of a VPC that does another change just now.
var aliBusy = []string{"TaskConflict", "OperationConflict", "IncorrectRouteEntryStatus", "IncorrectVpcStatus", "IncorrectStatus", "SystemBusy", "LastTokenProcessing", "ServiceUnavailable"}

func aliAnswer(action string, status int, body []byte, answer any) error {
	if status == http.StatusOK {
		if err := json.Unmarshal(body, answer); err != nil {
			return fmt.Errorf("read Alibaba Cloud's answer: %w", err)
		}
		return nil
	}
	var doc struct{ Code, Message string }
	_ = json.Unmarshal(body, &doc) // what it lacks is not told
	failed := &aliError{action: action, code: doc.Code, text: doc.Message}
	if doc.Code == "" {
		failed.code = strconv.Itoa(status)
	}
	err := hint.With(failed, "", failed.next())
	if status >= http.StatusInternalServerError || strings.HasPrefix(doc.Code, "Throttling") || slices.ContainsFunc(aliBusy, func(code string) bool { return strings.HasPrefix(doc.Code, code) }) {
		return later{err}
	}
	return err
}

// aliNIC is an interface in an answer.
type aliNIC struct{ InstanceId, VpcId, VSwitchId, PrivateIpAddress string } //nolint:revive // the API's names

// Observe looks at the members' interfaces, at the tables of their VPC, and at the rows of those
// that concern them.
func (a *ali) Observe(ctx context.Context, q Question) (*Seen, error) {
	seen := &Seen{}
	for some := range slices.Chunk(q.Members, aliAddrs) {
		form := url.Values{"PageSize": {"500"}}
		for i, m := range some {
			form.Set("PrivateIpAddress."+strconv.Itoa(i+1), m.Addr.String())
		}
		var doc struct {
			Sets struct {
				List []aliNIC `json:"NetworkInterfaceSet"`
			} `json:"NetworkInterfaceSets"`
		}
		if err := a.call(ctx, "ecs", "DescribeNetworkInterfaces", form, &doc); err != nil {
			return nil, err
		}
		for _, n := range doc.Sets.List {
			if addr, err := netip.ParseAddr(n.PrivateIpAddress); err == nil && n.InstanceId != "" {
				seen.NICs = append(seen.NICs, NIC{ID: n.InstanceId, Addrs: []netip.Addr{addr}, Subnet: n.VSwitchId, VPC: n.VpcId})
			}
		}
	}
	var vpcs []string
	for _, n := range seen.NICs {
		mine := slices.ContainsFunc(q.Members, func(m memberOf) bool { return m.At == nil || m.At.VPC == "" || m.At.VPC == n.VPC })
		if mine && !slices.Contains(vpcs, n.VPC) {
			vpcs = append(vpcs, n.VPC)
		}
	}
	for _, vpc := range vpcs {
		if err := a.tables(ctx, seen, vpc); err != nil {
			return nil, err
		}
	}
	for _, id := range q.Tables {
		if !slices.ContainsFunc(seen.Tables, func(t Table) bool { return t.ID == id }) {
			seen.Tables = append(seen.Tables, Table{ID: id})
		}
	}
	d := &differ{seen: seen}
	for i := range seen.Tables {
		t := &seen.Tables[i]
		needed := slices.Contains(q.Tables, t.ID) || slices.ContainsFunc(seen.NICs, func(n NIC) bool { return d.tableOf(n) == t.ID })
		if !needed {
			continue
		}
		if err := a.rows(ctx, t); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

func (a *ali) tables(ctx context.Context, seen *Seen, vpc string) error {
	passed := pages{}
	for page, got := 1, 0; ; page++ {
		var doc struct {
			TotalCount int
			List       struct {
				Tables []struct {
					RouteTableId, RouteTableType string //nolint:revive // the API's names
					VSwitchIds                   struct{ VSwitchId []string }
				} `json:"RouterTableListType"`
			} `json:"RouterTableList"`
		}
		if err := a.call(ctx, "vpc", "DescribeRouteTableList", url.Values{"VpcId": {vpc}, "PageSize": {aliPage}, "PageNumber": {strconv.Itoa(page)}}, &doc); err != nil {
			return err
		}
		for _, t := range doc.List.Tables {
			seen.Tables = append(seen.Tables, Table{ID: t.RouteTableId, VPC: vpc, Main: t.RouteTableType == "System", Subnets: t.VSwitchIds.VSwitchId})
		}
		if got += len(doc.List.Tables); got >= doc.TotalCount || len(doc.List.Tables) == 0 {
			return nil
		}
		if _, err := passed.next(strconv.Itoa(page)); err != nil {
			return err
		}
	}
}

// rows adds the custom rows of a table; one that is gone has none.
func (a *ali) rows(ctx context.Context, t *Table) error {
	form := url.Values{"RouteTableId": {t.ID}, "RouteEntryType": {"Custom"}, "MaxResult": {aliRows}}
	passed := pages{}
	for {
		var doc struct {
			NextToken string
			Entries   struct {
				List []struct {
					RouteEntryId, DestinationCidrBlock string //nolint:revive // the API's names
					NextHops                           struct {
						NextHop []struct{ NextHopId string } //nolint:revive // the API's names
					}
				} `json:"RouteEntry"`
			} `json:"RouteEntrys"`
		}
		err := a.call(ctx, "vpc", "DescribeRouteEntryList", form, &doc)
		if failed := (*aliError)(nil); errors.As(err, &failed) && strings.HasPrefix(failed.code, "InvalidRouteTableId") {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range doc.Entries.List {
			to, err := netip.ParsePrefix(e.DestinationCidrBlock)
			if err != nil {
				continue
			}
			row := SeenRow{Name: e.RouteEntryId, To: to.Masked(), Made: true, By: "nothing", Dead: len(e.NextHops.NextHop) == 0}
			if !row.Dead {
				row.By = e.NextHops.NextHop[0].NextHopId
			}
			t.Rows = append(t.Rows, row)
		}
		if more, err := passed.next(doc.NextToken); err != nil || !more {
			return err
		}
		form.Set("NextToken", doc.NextToken)
	}
}

// Create adds a row. One that is there already is no error, as with other clouds.
func (a *ali) Create(ctx context.Context, r Row) error {
	err := a.call(ctx, "vpc", "CreateRouteEntry", url.Values{
		"RouteTableId": {r.Table}, "DestinationCidrBlock": {r.To.String()}, "NextHopType": {"Instance"}, "NextHopId": {r.By},
		"ClientToken": {rand.Text()}, "RouteEntryName": {"flock-" + r.Network}, "Description": {"flock, network " + r.Network},
	}, &struct{}{})
	if failed := (*aliError)(nil); errors.As(err, &failed) && slices.Contains([]string{"InvalidCidrBlock.Duplicate", "RouteEntry.Duplicated"}, failed.code) {
		return nil
	}
	return err
}

// Replace gives a row another target.
func (a *ali) Replace(ctx context.Context, r Row) error {
	return a.call(ctx, "vpc", "ModifyRouteEntry", url.Values{"RouteEntryId": {r.Name}, "NewNextHopType": {"Instance"}, "NewNextHopId": {r.By}}, &struct{}{})
}

// Delete takes out the row of an id.
func (a *ali) Delete(ctx context.Context, r Row) error {
	err := a.call(ctx, "vpc", "DeleteRouteEntry", url.Values{"RouteEntryId": {r.Name}}, &struct{}{})
	if failed := (*aliError)(nil); errors.As(err, &failed) && strings.HasPrefix(failed.code, "InvalidRouteEntry") {
		return nil
	}
	return err
}

// SetCheck has nothing to switch: instances forward.
func (*ali) SetCheck(context.Context, string, bool) error { return nil }
