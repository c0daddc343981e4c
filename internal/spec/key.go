package spec

import "strings"

// PlannedKey stands in a plan for the public key that a server's device will have:
// the pair is made when the plan is carried out.
func PlannedKey(server string) string { return "(key of " + server + ", made on apply)" }

// ShortKey is enough of a public key to know it by, on the screen.
func ShortKey(key string) string {
	const enough = 8
	if len(key) <= enough || strings.HasPrefix(key, "(") {
		return key
	}
	return key[:enough] + "…"
}
