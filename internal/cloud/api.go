package cloud

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
)

// API is one cloud, in one region and by one login.
type API interface {
	// Observe looks at what a question is about, in as few calls as it takes.
	Observe(ctx context.Context, q Question) (*Seen, error)
	Create(ctx context.Context, r Row) error
	// Replace gives a row another target in one call: the destination always has a route.
	Replace(ctx context.Context, r Row) error
	Delete(ctx context.Context, r Row) error
	// SetCheck says whether an interface drops packets that are not from or for itself.
	SetCheck(ctx context.Context, nic string, on bool) error
	// Limits are how many rows a table may have of a family: as it is made, and at most.
	Limits() (usual, most int)
}

// Row is a route in a table of a cloud.
type Row struct {
	Table   string
	To      netip.Prefix
	By      string // the target, as the cloud calls it
	Name    string // of the row that is replaced or deleted, where rows have names
	Network string // that needs it
}

// Question says what is to be looked at. Without Members, only Tables and NICs are.
type Question struct {
	Members []ground.CloudMember
	Tables  []string // by id; those that are not there are left out
	NICs    []string // so are these
}

// Seen is what a cloud has.
type Seen struct {
	NICs   []NIC
	Tables []Table
	Fixed  string // what to do about an interface that checks, where that cannot be switched; "": it can
}

// NIC is an interface of a server.
type NIC struct {
	ID      string
	Addrs   []netip.Addr
	Subnet  string
	VPC     string
	Checked bool // it drops packets that are not from or for itself
}

// Table is a route table.
type Table struct {
	ID, VPC string
	Main    bool     // subnets without one of their own have it
	Subnets []string // that have it
	Rows    []SeenRow
}

// SeenRow is a row of a table.
type SeenRow struct {
	Name  string // "": rows have none
	To    netip.Prefix
	By    string
	Dead  bool // its target is not there any more: a blackhole
	Local bool // of the cloud's own network
	Made  bool // by somebody; it counts
}

// Login is where credentials come from.
type Login struct {
	Getenv func(string) string
	Client *http.Client // nil: one of its own
	pace   func(*caller)
}

// open is the API of a kind, in a region; "" is what the login says.
func (l Login) open(ctx context.Context, kind, region, profile string) (api API, at string, err error) {
	begin := map[string]func(Login, context.Context, string, string) (API, string, error){
		"aws": Login.openAWS, "gce": Login.openGCE, "ali": Login.openAli, "azure": Login.openAzure,
	}[kind]
	if begin == nil {
		return nil, "", hint.Errorf("", "", "no cloud is called %q", kind)
	}
	return begin(l, ctx, region, profile)
}
