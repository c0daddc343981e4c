package hostkeys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/flocknet/flock/internal/plainfile"
	"github.com/flocknet/flock/internal/sshconfig"
	"golang.org/x/crypto/ssh"
)

// krlMagic begins a key revocation list in OpenSSH's binary form (PROTOCOL.krl).
var krlMagic = []byte("SSHKRL\n\x00")

// revokedWithin bounds one run of ssh-keygen.
const revokedWithin = 10 * time.Second

// CheckRevoked refuses a host key that file names, ssh's RevokedHostKeys: one key a line, or a
// revocation list, which ssh-keygen reads. A file that cannot be read refuses every key,
// as to ssh; "" refuses none.
func CheckRevoked(file string, key ssh.PublicKey) error {
	if file == "" {
		return nil
	}
	data, err := plainfile.Read(file, plainfile.MostKnown)
	if err != nil {
		return fmt.Errorf("%w: RevokedHostKeys cannot be read: %w", ErrChanged, err)
	}
	if bytes.HasPrefix(data, krlMagic) {
		return askRevoked(file, key)
	}
	for line := range bytes.Lines(data) {
		listed, _, _, _, err := ssh.ParseAuthorizedKey(line)
		if err != nil {
			continue // empty, or a comment
		}
		cert, certified := key.(*ssh.Certificate)
		if Same(listed, Bare(key)) || certified && Same(listed, cert.SignatureKey) {
			return fmt.Errorf("%w: it is revoked in %s", ErrChanged, file)
		}
	}
	return nil
}

// askRevoked asks ssh-keygen whether a revocation list contains key.
func askRevoked(list string, key ssh.PublicKey) error {
	file, err := os.CreateTemp("", "flock-host-key-")
	if err != nil {
		return fmt.Errorf("%w: %w", sshconfig.Err, err)
	}
	defer os.Remove(file.Name()) //nolint:errcheck // a public key that stays does no harm
	if _, err := file.Write(ssh.MarshalAuthorizedKey(key)); err != nil {
		return fmt.Errorf("%w: %w", sshconfig.Err, errors.Join(err, file.Close()))
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("%w: %w", sshconfig.Err, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), revokedWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ssh-keygen", "-Q", "-f", list, file.Name())
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: it is revoked in %s, or that cannot be read: %s", ErrChanged, list, bytes.TrimSpace(out))
	}
	return nil
}
