package cloud

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/hint"
)

const aliAdvised = "set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or aliyun configure"

// aliKey is what calls are signed with.
type aliKey struct{ ID, Secret, Token string }

// aliProfile is one of ~/.aliyun/config.json, the aliyun program's.
type aliProfile struct {
	Name   string `json:"name"`
	Mode   string `json:"mode"`
	ID     string `json:"access_key_id"`
	Secret string `json:"access_key_secret"`
	Token  string `json:"sts_token"`
	Region string `json:"region_id"`
}

// aliLogin is where credentials come from: the environment, unless a profile is named, and the
// file of Alibaba's own program.
type aliLogin struct {
	getenv  func(string) string
	named   bool
	profile aliProfile
}

func newAliLogin(getenv func(string) string, profile string) (*aliLogin, error) {
	l := &aliLogin{getenv: getenv, named: profile != ""}
	path := filepath.Join(getenv("HOME"), ".aliyun", "config.json")
	text, err := os.ReadFile(path) //nolint:gosec // the operator's own file
	if errors.Is(err, fs.ErrNotExist) && !l.named {
		return l, nil
	}
	var doc struct {
		Current  string       `json:"current"`
		Profiles []aliProfile `json:"profiles"`
	}
	if err == nil {
		err = json.Unmarshal(text, &doc)
	}
	if err != nil {
		return nil, hint.Errorf(path, aliAdvised, "read Alibaba Cloud's configuration: %w", err)
	}
	name := cmp.Or(profile, getenv("ALIBABA_CLOUD_PROFILE"), doc.Current)
	at := slices.IndexFunc(doc.Profiles, func(p aliProfile) bool { return p.Name == name })
	switch {
	case at >= 0:
		l.profile = doc.Profiles[at]
	case l.named:
		return nil, hint.Errorf("profile "+name, "aliyun configure list", "Alibaba Cloud's configuration has no profile %s", name)
	}
	return l, nil
}

func (l *aliLogin) region() string {
	return cmp.Or(l.getenv("ALIBABA_CLOUD_REGION_ID"), l.profile.Region)
}

func (l *aliLogin) key() (*aliKey, error) {
	if id := l.getenv("ALIBABA_CLOUD_ACCESS_KEY_ID"); id != "" && !l.named {
		return &aliKey{id, l.getenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET"), l.getenv("ALIBABA_CLOUD_SECURITY_TOKEN")}, nil
	}
	if l.profile.ID == "" || l.profile.Secret == "" {
		return nil, hint.Errorf("", aliAdvised, "no credentials for Alibaba Cloud were found on this workstation")
	}
	return &aliKey{l.profile.ID, l.profile.Secret, l.profile.Token}, nil
}

// endpoint is where a product's API is.
func (l *aliLogin) endpoint(product, region string) string {
	at := cmp.Or(l.getenv(strings.ToUpper(product)+"_ENDPOINT"), product+"."+region+".aliyuncs.com")
	if !strings.Contains(at, "://") {
		at = "https://" + at
	}
	return strings.TrimSuffix(at, "/")
}
