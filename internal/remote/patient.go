package remote

import (
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
)

// patientSigner signs with key. The server's time limit is paused meanwhile: a
// passphrase is typed, or a hardware key waits to be touched.
type patientSigner struct {
	pub   ssh.PublicKey
	key   func() (ssh.Signer, error)
	p     *patience
	onErr func(error) // x/crypto hides a signer's error
}

func (s *patientSigner) PublicKey() ssh.PublicKey { return s.pub }

func (s *patientSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, "")
}

// SignWithAlgorithm lets RSA keys sign with SHA-2 (RFC 8332).
func (s *patientSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	defer s.p.pause()()
	signer, err := s.key()
	if err != nil {
		s.onErr(err)
		return nil, err
	}
	var sig *ssh.Signature
	if with, ok := signer.(ssh.AlgorithmSigner); ok {
		sig, err = with.SignWithAlgorithm(rand, data, algorithm)
	} else {
		sig, err = signer.Sign(rand, data)
	}
	if err != nil {
		s.onErr(fmt.Errorf("%w: sign with %s: %w", ErrAuth, s.pub.Type(), err))
	}
	return sig, err
}
