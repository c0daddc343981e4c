package keys

import (
	"fmt"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// agentAnswer bounds the wait until the ssh agent has listed its keys.
const agentAnswer = 5 * time.Second

// OfAgent connects to the ssh agent at a socket, and lists its keys. The connection is used until the program
// ends.
func OfAgent(socket string) ([]ssh.Signer, error) {
	conn, err := net.DialTimeout("unix", socket, agentAnswer)
	if err != nil {
		return nil, fmt.Errorf("connect to ssh agent: %w", err)
	}
	if err := conn.SetDeadline(time.Now().Add(agentAnswer)); err != nil {
		return nil, fmt.Errorf("connect to ssh agent: %w", err)
	}
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		return nil, fmt.Errorf("list keys of ssh agent: %w", err)
	}
	return signers, conn.SetDeadline(time.Time{})
}
