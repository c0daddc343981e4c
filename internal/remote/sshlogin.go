package remote

import (
	"context"

	"github.com/flocknet/flock/internal/hint"
	"golang.org/x/crypto/ssh/knownhosts"
)

// SSHLogin is how a person logs in to a server by ssh(1) as a Dialer does.
type SSHLogin struct {
	Args   []string // of ssh(1), the destination included
	User   string
	Named  bool   // keys are named for it, here or in ssh's config
	Forget string // a shell's line by which its host key is forgotten; "": none is remembered
}

// SSHLogin finds out how one logs in to t; nothing is contacted. Errors wrap ErrConfig.
func (d *Dialer) SSHLogin(ctx context.Context, t Target) (SSHLogin, error) {
	l := SSHLogin{Args: d.SSHArgs(t)}
	r, err := d.route(ctx, t)
	if err != nil {
		return l, err
	}
	l.User, l.Named = r.User, r.Named
	if len(r.UserKnown) > 0 {
		l.Forget = hint.Shell("ssh-keygen", "-R", knownhosts.Normalize(r.KeyName), "-f", r.UserKnown[0])
	}
	return l, nil
}
