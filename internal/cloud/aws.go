package cloud

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/smithy-go/aws-http-auth/credentials"
	"github.com/aws/smithy-go/aws-http-auth/sigv4"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// EC2's Query API: a form is sent, XML comes back. It takes some calls at once, and then so
// many a second: of those that change something 50 and 5, of an account and a region.
const (
	awsVersion  = "2016-11-15"
	awsBurst    = 40
	awsRate     = 4
	awsUsual    = 500  // rows of a table and family, unless the quota was raised (L-93826ACB)
	awsMost     = 1000 // to which it can be
	awsFiltered = 200  // values of a filter
	awsPage     = "100"
)

// ec2 is the API of one region.
type ec2 struct {
	login    *awsLogin
	region   string
	endpoint string
	caller   *caller
	signer   *sigv4.Signer
	key      *credentials.Credentials // nil: not asked for yet
}

func (l Login) openAWS(_ context.Context, region, profile string) (API, string, error) {
	login, err := newAWSLogin(l.Getenv, profile)
	if err != nil {
		return nil, region, err
	}
	if region == "" {
		region = login.region()
	}
	if region == "" {
		return nil, "", hint.Errorf("", "flock setnetwork NAME --region REGION, or export AWS_REGION", "the members do not say in which region of AWS they are, and no login does")
	}
	if !spec.IsRegion(region) { // it becomes a part of a host's name
		return nil, region, hint.Errorf("", "another region: flock setnetwork NAME --region REGION", "%q is no region of AWS", region)
	}
	return &ec2{login: login, region: region, endpoint: login.endpoint(region), caller: newCaller(l, awsBurst, awsRate), signer: sigv4.New()}, region, nil
}

// Limits are the quota of routes per table.
func (*ec2) Limits() (usual, most int) { return awsUsual, awsMost }

// call makes one call and decodes its answer.
func (e *ec2) call(ctx context.Context, action string, form url.Values, answer any) error {
	form.Set("Action", action)
	form.Set("Version", awsVersion)
	if !strings.HasPrefix(action, "Describe") {
		if err := e.caller.pace(ctx); err != nil {
			return err
		}
	}
	renewed := false
	for {
		err := e.caller.send(ctx, func(ctx context.Context) (*http.Request, error) { return e.request(ctx, form.Encode()) }, func(status int, body []byte) error {
			return awsAnswer(action, status, body, answer)
		})
		if failed := (*awsError)(nil); errors.As(err, &failed) && failed.expired() && !renewed {
			e.key, renewed = nil, true // who is logged in elsewhere may have renewed them
			continue
		}
		return err
	}
}

// request is a signed call.
func (e *ec2) request(ctx context.Context, body string) (*http.Request, error) {
	if e.key == nil {
		key, err := e.login.credentials(ctx)
		if err != nil {
			return nil, refusal{err}
		}
		e.key = &key
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.endpoint+"/", strings.NewReader(body))
	if err != nil {
		return nil, refusal{err}
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	return r, e.signer.SignRequest(&sigv4.SignRequestInput{
		Request: r, PayloadHash: hashOf(body), Credentials: *e.key, Service: "ec2", Region: e.region, Time: e.caller.now(),
	})
}

// awsError is what the API refuses a call with.
type awsError struct{ action, code, text string }

func (e *awsError) Error() string {
	right := "ec2:" + e.action
	switch {
	case e.code == "UnauthorizedOperation":
		return "the login has no right to " + right
	case e.expired():
		return "the credentials for AWS have expired"
	case e.code == "AuthFailure", e.code == "InvalidClientTokenId", e.code == "SignatureDoesNotMatch":
		return "AWS does not accept the credentials (" + e.code + ")"
	case e.code == "RouteLimitExceeded":
		return "the route table is full"
	}
	return right + ": " + e.code + ": " + e.text
}

func (e *awsError) expired() bool {
	return slices.Contains([]string{"ExpiredToken", "ExpiredTokenException", "RequestExpired"}, e.code)
}

// next is the advice.
func (e *awsError) next() string {
	switch {
	case e.code == "UnauthorizedOperation":
		return "allow it ec2:" + e.action + ", then flock apply"
	case e.code == "RequestExpired":
		return "the clock of this workstation must be right; or log in again (aws sso login), then flock apply"
	case e.expired():
		return "log in again (aws sso login), then flock apply"
	case e.code == "AuthFailure", e.code == "InvalidClientTokenId", e.code == "SignatureDoesNotMatch":
		return "aws sts get-caller-identity shows whose they are; the clock of this workstation must be right"
	case e.code == "RouteLimitExceeded":
		return "raise the quota L-93826ACB (routes per route table) to 1000 at most, then flock apply"
	}
	return ""
}

// awsAnswer reads an answer.
func awsAnswer(action string, status int, body []byte, answer any) error {
	if status == http.StatusOK {
		root := struct{ XMLName xml.Name }{}
		err := xml.Unmarshal(body, &root)
		if err == nil && root.XMLName.Local != action+"Response" { // a proxy's page, for instance
			err = fmt.Errorf("it is a %s", root.XMLName.Local)
		}
		if err == nil && answer != nil {
			err = xml.Unmarshal(body, answer)
		}
		if err != nil {
			return fmt.Errorf("read AWS's answer to %s: %w", action, err)
		}
		return nil
	}
	var doc struct {
		Errors []struct {
			Code    string `xml:"Code"`
			Message string `xml:"Message"`
		} `xml:"Errors>Error"`
	}
	failed := &awsError{action: action, code: strconv.Itoa(status)}
	if err := xml.Unmarshal(body, &doc); err == nil && len(doc.Errors) > 0 {
		failed.code, failed.text = doc.Errors[0].Code, doc.Errors[0].Message
	}
	err := hint.With(failed, "", failed.next())
	if status >= http.StatusInternalServerError || slices.Contains([]string{"RequestLimitExceeded", "Throttling", "ThrottlingException", "RequestThrottled"}, failed.code) {
		return later{err}
	}
	return err
}

// codeOf is AWS's code of an error, "" of another.
func codeOf(err error) string {
	if failed := (*awsError)(nil); errors.As(err, &failed) {
		return failed.code
	}
	return ""
}

// filters are a form with filters of names and values.
func filters(list ...[]string) url.Values {
	form := url.Values{}
	for i, f := range list {
		at := "Filter." + strconv.Itoa(i+1)
		form.Set(at+".Name", f[0])
		for j, value := range f[1:] {
			form.Set(at+".Value."+strconv.Itoa(j+1), value)
		}
	}
	return form
}

// Observe looks at the members' interfaces, and at all tables of their VPC.
func (e *ec2) Observe(ctx context.Context, q Question) (*Seen, error) {
	seen := &Seen{}
	var v4, v6 []string
	for _, m := range q.Members {
		if m.Addr.Is6() {
			v6 = append(v6, m.Addr.String())
		} else {
			v4 = append(v4, m.Addr.String())
		}
	}
	if err := e.interfaces(ctx, seen, "addresses.private-ip-address", v4); err != nil {
		return nil, err
	}
	if err := e.interfaces(ctx, seen, "ipv6-addresses.ipv6-address", v6); err != nil {
		return nil, err
	}
	more := slices.DeleteFunc(slices.Clone(q.NICs), func(id string) bool {
		return slices.ContainsFunc(seen.NICs, func(n NIC) bool { return n.ID == id })
	})
	if err := e.interfaces(ctx, seen, "network-interface-id", more); err != nil {
		return nil, err
	}
	var vpcs []string
	for _, n := range seen.NICs {
		mine := slices.ContainsFunc(q.Members, func(m memberOf) bool { return m.At == nil || m.At.VPC == "" || m.At.VPC == n.VPC })
		if !slices.Contains(vpcs, n.VPC) && (mine || len(q.Members) == 0) {
			vpcs = append(vpcs, n.VPC)
		}
	}
	if len(q.Members) > 0 {
		if err := e.tables(ctx, seen, "vpc-id", vpcs); err != nil {
			return nil, err
		}
	}
	rest := slices.DeleteFunc(slices.Clone(q.Tables), func(id string) bool { // of VPCs in which nothing is wanted any more
		return slices.ContainsFunc(seen.Tables, func(t Table) bool { return t.ID == id })
	})
	return seen, e.tables(ctx, seen, "route-table-id", rest)
}

// interfaces adds those that a filter lets through.
func (e *ec2) interfaces(ctx context.Context, seen *Seen, filter string, values []string) error {
	for some := range slices.Chunk(values, awsFiltered) {
		form := filters(append([]string{filter}, some...))
		passed := pages{}
		for {
			var doc struct {
				Items []struct {
					ID      string   `xml:"networkInterfaceId"`
					Subnet  string   `xml:"subnetId"`
					VPC     string   `xml:"vpcId"`
					First   string   `xml:"privateIpAddress"`
					V4      []string `xml:"privateIpAddressesSet>item>privateIpAddress"`
					V6      []string `xml:"ipv6AddressesSet>item>ipv6Address"`
					Checked bool     `xml:"sourceDestCheck"`
				} `xml:"networkInterfaceSet>item"`
				Next string `xml:"nextToken"`
			}
			if err := e.call(ctx, "DescribeNetworkInterfaces", form, &doc); err != nil {
				return err
			}
			for _, item := range doc.Items {
				n := NIC{ID: item.ID, Subnet: item.Subnet, VPC: item.VPC, Checked: item.Checked}
				for _, text := range slices.Concat([]string{item.First}, item.V4, item.V6) {
					if a, err := netip.ParseAddr(text); err == nil && !slices.Contains(n.Addrs, a) {
						n.Addrs = append(n.Addrs, a)
					}
				}
				seen.NICs = append(seen.NICs, n)
			}
			if more, err := passed.next(doc.Next); err != nil || !more {
				if err != nil {
					return err
				}
				break
			}
			form.Set("NextToken", doc.Next)
		}
	}
	return nil
}

// tables adds those that a filter lets through.
func (e *ec2) tables(ctx context.Context, seen *Seen, filter string, values []string) error {
	for some := range slices.Chunk(values, awsFiltered) {
		form := filters(append([]string{filter}, some...))
		form.Set("MaxResults", awsPage)
		passed := pages{}
		for {
			var doc awsTables
			if err := e.call(ctx, "DescribeRouteTables", form, &doc); err != nil {
				return err
			}
			seen.Tables = append(seen.Tables, doc.tables()...)
			if more, err := passed.next(doc.Next); err != nil || !more {
				if err != nil {
					return err
				}
				break
			}
			form.Set("NextToken", doc.Next)
		}
	}
	return nil
}

// change makes a call about a row. Delete names no target.
func (e *ec2) change(ctx context.Context, action string, r Row) error {
	form := url.Values{"RouteTableId": {r.Table}}
	if r.To.Addr().Is6() {
		form.Set("DestinationIpv6CidrBlock", r.To.String())
	} else {
		form.Set("DestinationCidrBlock", r.To.String())
	}
	if r.By != "" {
		form.Set("NetworkInterfaceId", r.By)
	}
	return e.call(ctx, action, form, nil)
}

// Create adds a row. One that is there already is no error: a call may be repeated whose answer
// was lost, and whoever looks afterwards sees where it leads.
func (e *ec2) Create(ctx context.Context, r Row) error {
	err := e.change(ctx, "CreateRoute", r)
	if codeOf(err) == "RouteAlreadyExists" {
		return nil
	}
	return err
}

// Replace gives a row another target.
func (e *ec2) Replace(ctx context.Context, r Row) error { return e.change(ctx, "ReplaceRoute", r) }

// Delete takes a row out. One that is gone already is none.
func (e *ec2) Delete(ctx context.Context, r Row) error {
	r.By = ""
	err := e.change(ctx, "DeleteRoute", r)
	if codeOf(err) == "InvalidRoute.NotFound" {
		return nil
	}
	return err
}

// SetCheck switches the source/destination check of an interface.
func (e *ec2) SetCheck(ctx context.Context, nic string, on bool) error {
	return e.call(ctx, "ModifyNetworkInterfaceAttribute", url.Values{"NetworkInterfaceId": {nic}, "SourceDestCheck.Value": {strconv.FormatBool(on)}}, nil)
}
