package spec

import "strings"

// PlannedKey stands in a plan for the public key of a server's device that has no key
// pair yet: the pair is made when the plan is applied.
func PlannedKey(server string) string { return "(key of " + server + ", made on apply)" }

// ShortKey is the start of a public key, as it is shown to people.
func ShortKey(key string) string {
	const enough = 8
	if len(key) <= enough || strings.HasPrefix(key, "(") {
		return key
	}
	return key[:enough] + "…"
}
