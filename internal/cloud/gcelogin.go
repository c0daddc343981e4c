package cloud

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/hint"
)

// Tokens are found where Google's own programs find them: the environment, the file of the
// application default credentials, and for all else the gcloud program.

const (
	gceScope   = "https://www.googleapis.com/auth/compute"
	gceTokens  = "https://oauth2.googleapis.com/token" //nolint:gosec // an address
	gceAdvised = "log in with gcloud: gcloud auth login, or gcloud auth application-default login; or set GOOGLE_APPLICATION_CREDENTIALS"
)

// gceFile is a file of credentials: a person's, or a service account's.
type gceFile struct {
	Type    string `json:"type"`
	Project string `json:"project_id"`
	Quota   string `json:"quota_project_id"`
	ID      string `json:"client_id"`
	Secret  string `json:"client_secret"`
	Refresh string `json:"refresh_token"`
	Email   string `json:"client_email"`
	KeyID   string `json:"private_key_id"`
	Key     string `json:"private_key"`
	Tokens  string `json:"token_uri"`
}

// gceToken is a token to call the API with.
func gceToken(ctx context.Context, l Login, c *caller) (string, error) {
	for _, name := range []string{"GOOGLE_OAUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN"} {
		if token := l.Getenv(name); token != "" {
			return token, nil
		}
	}
	path := cmp.Or(l.Getenv("GOOGLE_APPLICATION_CREDENTIALS"), filepath.Join(l.Getenv("HOME"), ".config", "gcloud", "application_default_credentials.json"))
	text, err := os.ReadFile(path) //nolint:gosec // the operator's own file, where the environment says
	if errors.Is(err, fs.ErrNotExist) && l.Getenv("GOOGLE_APPLICATION_CREDENTIALS") == "" {
		return gcloudToken(ctx)
	}
	if err != nil {
		return "", hint.Errorf(path, gceAdvised, "read Google's credentials: %w", err)
	}
	var f gceFile
	if err := json.Unmarshal(text, &f); err != nil {
		return "", hint.Errorf(path, gceAdvised, "Google's credentials are no JSON")
	}
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {f.ID}, "client_secret": {f.Secret}, "refresh_token": {f.Refresh}}
	switch f.Type {
	case "authorized_user":
	case "service_account":
		assertion, err := f.assertion(c.now())
		if err != nil {
			return "", hint.With(err, path, gceAdvised)
		}
		form = url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
	default:
		return gcloudToken(ctx)
	}
	return fetchToken(ctx, c, cmp.Or(f.Tokens, gceTokens), form, path, gceAdvised)
}

// fetchToken asks a token server.
func fetchToken(ctx context.Context, c *caller, at string, form url.Values, path, advised string) (string, error) {
	var doc struct {
		Token string `json:"access_token"`
		What  string `json:"error_description"`
	}
	err := c.send(ctx, func(ctx context.Context) (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form.Encode()))
		if err != nil {
			return nil, refusal{err}
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r, nil
	}, func(status int, body []byte) error {
		_ = json.Unmarshal(body, &doc) // what it lacks is told
		if status >= http.StatusInternalServerError {
			return later{fmt.Errorf("the server of tokens says %d", status)}
		}
		return nil
	})
	if err == nil && doc.Token == "" {
		err = hint.Errorf(path, advised, "no token: %s", cmp.Or(doc.What, "the server gave none"))
	}
	return doc.Token, err
}

// assertion is what a service account says of itself, signed by its key (RFC 7523).
func (f *gceFile) assertion(now time.Time) (string, error) {
	block, _ := pem.Decode([]byte(f.Key))
	if block == nil {
		return "", errors.New("the service account has no key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return "", errors.New("the key of the service account is no RSA key")
	}
	encode := base64.RawURLEncoding.EncodeToString
	head, err := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": f.KeyID})
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{"iss": f.Email, "scope": gceScope, "aud": cmp.Or(f.Tokens, gceTokens), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	if err != nil {
		return "", err
	}
	text := encode(head) + "." + encode(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	return text + "." + encode(signature), err
}

// gcloudToken asks the gcloud program.
func gcloudToken(ctx context.Context) (string, error) {
	out, err := printed(ctx, programWithin, "Google Cloud", gceAdvised, "gcloud", "auth", "print-access-token", "--quiet")
	return strings.TrimSpace(string(out)), err
}
