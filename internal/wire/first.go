package wire

import "encoding/base64"

// The first message of a session may travel with the command that starts the agent: a round
// trip before the agent could be sent anything. sshd gives a session no window for data until
// its command runs, but takes variables before, where its configuration has "AcceptEnv LANG
// LC_*", as those of Debian and Ubuntu do. Elsewhere the agent gets none, and says so by its
// greeting: the message is sent then as all others are.

// FirstEnv is the variable. Only the login's processes can read another's environment; sudo
// passes LC_ variables on that have no "/" and no "%" (sudoers(5), env_check).
const FirstEnv = "LC_FLOCK"

// Took ends the version in the greeting of an agent that was given a message so.
const Took = " took"

// mostFirst is how long the variable may be, in bytes: every SSH server takes packets of 32,768
// bytes (RFC 4253, 6.1).
const mostFirst = 24 << 10

// Pack returns msg as the value of FirstEnv; "" if it is too long, or no message.
func Pack(msg any) string {
	body, err := Marshal(msg)
	if err != nil || base64.RawURLEncoding.EncodedLen(len(body)) > mostFirst {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(body)
}

// Unpack returns the JSON of a message that Pack made; nil if text is none.
func Unpack(text string) []byte {
	body, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(body) == 0 {
		return nil
	}
	return body
}
