package cloud

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/smithy-go/aws-http-auth/credentials"

	"github.com/flocknet/flock/internal/hint"
)

// Credentials are found where AWS's own programs find them, in their sequence: the
// environment, unless a profile is named; the profile in the two files; and for all other
// ways (sso, roles, processes) the aws program, which has them.

// awsLogin is what one profile says.
type awsLogin struct {
	getenv   func(string) string
	profile  string // "": none was named
	settings map[string]string
}

// newAWSLogin reads the two files. A profile that was named must be there.
func newAWSLogin(getenv func(string) string, profile string) (*awsLogin, error) {
	l := &awsLogin{getenv: getenv, profile: profile, settings: map[string]string{}}
	name := cmp.Or(profile, getenv("AWS_PROFILE"), "default")
	found := false
	for _, file := range []struct{ env, base, section string }{
		{"AWS_CONFIG_FILE", "config", "profile " + name}, {"AWS_SHARED_CREDENTIALS_FILE", "credentials", name},
	} {
		path := cmp.Or(getenv(file.env), filepath.Join(getenv("HOME"), ".aws", file.base))
		text, err := os.ReadFile(path) //nolint:gosec // the operator's own file, where the environment says
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, hint.Errorf(path, "", "read AWS's configuration: %w", err)
		}
		for _, section := range []string{file.section, name} {
			if section == name && name != "default" && file.section != name {
				continue // in config, only the default one may go without the word profile
			}
			found = readSection(string(text), section, l.settings) || found
		}
	}
	if name != "default" && !found {
		return nil, hint.Errorf("profile "+name, "aws configure list-profiles", "AWS's configuration has no profile %s", name)
	}
	return l, nil
}

// readSection adds what a section of an INI file says to out, and says whether it is there.
func readSection(text, section string, out map[string]string) (found bool) {
	in := false
	for line := range strings.Lines(text) {
		nested := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
		line = strings.TrimSpace(line)
		if head, ok := strings.CutPrefix(line, "["); ok {
			head, _, _ = strings.Cut(head, "]")
			in = strings.Join(strings.Fields(head), " ") == section
			found = found || in
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !in || !ok || nested || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		value, _, _ = strings.Cut(value, " #")
		out[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	return found
}

// region is where the login is for, if nobody says otherwise.
func (l *awsLogin) region() string {
	return cmp.Or(l.getenv("AWS_REGION"), l.getenv("AWS_DEFAULT_REGION"), l.settings["region"])
}

// endpoint is where the API is.
func (l *awsLogin) endpoint(region string) string {
	domain := "amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		domain += ".cn"
	}
	return strings.TrimSuffix(cmp.Or(l.getenv("AWS_ENDPOINT_URL_EC2"), l.getenv("AWS_ENDPOINT_URL"), l.settings["endpoint_url"], "https://ec2."+region+"."+domain), "/")
}

// credentials are found anew: they may have been renewed meanwhile.
func (l *awsLogin) credentials(ctx context.Context) (credentials.Credentials, error) {
	if l.profile == "" && l.getenv("AWS_ACCESS_KEY_ID") != "" {
		return credentials.Credentials{AccessKeyID: l.getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: l.getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: l.getenv("AWS_SESSION_TOKEN")}, nil
	}
	if l.settings["aws_access_key_id"] != "" && l.settings["role_arn"] == "" {
		return credentials.Credentials{AccessKeyID: l.settings["aws_access_key_id"], SecretAccessKey: l.settings["aws_secret_access_key"], SessionToken: l.settings["aws_session_token"]}, nil
	}
	return l.exported(ctx)
}

// exported asks the aws program.
func (l *awsLogin) exported(ctx context.Context) (credentials.Credentials, error) {
	const next = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or log in with the aws program: aws configure, aws sso login"
	argv := []string{"aws", "configure", "export-credentials", "--format", "process"}
	if l.profile != "" {
		argv = append(argv, "--profile", l.profile)
	}
	out, err := printed(ctx, programWithin, "AWS", next, argv...)
	if err != nil {
		return credentials.Credentials{}, err
	}
	var doc struct{ AccessKeyId, SecretAccessKey, SessionToken string } //nolint:revive // AWS's names
	if err := json.Unmarshal(out, &doc); err != nil || doc.AccessKeyId == "" {
		return credentials.Credentials{}, hint.Errorf("", next, "no credentials for AWS: aws configure export-credentials printed none")
	}
	return credentials.Credentials{AccessKeyID: doc.AccessKeyId, SecretAccessKey: doc.SecretAccessKey, SessionToken: doc.SessionToken}, nil
}
