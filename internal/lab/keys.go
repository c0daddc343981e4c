package lab

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
)

// keys are a lab's throw-away keys; they exist only in its tmpfs.
type keys struct {
	authorized string            // the laptop's public key, an authorized_keys line
	host       map[string][]byte // machine name to its host key, OpenSSH's private form
	hostPub    map[string]string
}

// writeKeys makes the keys and writes the client's half of them: the identity,
// known_hosts and ssh_config.
func (l *Lab) writeKeys() (*keys, error) {
	k := &keys{host: map[string][]byte{}, hostPub: map[string]string{}}
	private, public, err := newKey("flock lab")
	if err != nil {
		return nil, err
	}
	k.authorized = public
	var known, config strings.Builder
	fmt.Fprintf(&config, "# written by flock lab up\n")
	for _, m := range l.machines() {
		k.host[m.name], k.hostPub[m.name], err = newKey(m.name)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&known, "%s,%s,%s,%s %s", m.name, m.addr4(), m.addr6(), m.second4(), k.hostPub[m.name])
		fmt.Fprintf(&config, "Host %s\n\tHostName %s\n", m.name, m.addr4())
	}
	names := append([]string{"10.99.0.*", "10.98.0.*", "fd99::*", Laptop}, l.Servers()...)
	fmt.Fprintf(&config, "Host %s\n\tUser root\n\tIdentityFile %s\n\tIdentitiesOnly yes\n\tUserKnownHostsFile %s\n"+
		"\tGlobalKnownHostsFile /dev/null\n\tStrictHostKeyChecking yes\n",
		strings.Join(names, " "), l.path("id_ed25519"), l.path("known_hosts"))
	for name, text := range map[string]string{
		"id_ed25519": string(private), "id_ed25519.pub": public, "known_hosts": known.String(), "ssh_config": config.String(),
	} {
		if err := os.WriteFile(l.path(name), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("write the lab's keys: %w", err)
		}
	}
	return k, nil
}

// newKey makes an Ed25519 pair in OpenSSH's forms; the public line ends in a newline.
func newKey(comment string) (private []byte, public string, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", fmt.Errorf("make a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(priv, comment)
	if err != nil {
		return nil, "", fmt.Errorf("write a key: %w", err)
	}
	sshPub, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, "", fmt.Errorf("write a public key: %w", err)
	}
	return pem.EncodeToMemory(block), string(ssh.MarshalAuthorizedKey(sshPub)), nil
}
