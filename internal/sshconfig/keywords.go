package sshconfig

import (
	"slices"
	"strings"
)

// options are the values in ssh's config for one host, by keyword in lower case.
type options map[string][]string

// keywords are those that flock uses.
var keywords = []string{
	"user", "hostname", "port", "proxyjump", "proxycommand", "proxyusefdpass", "addressfamily",
	"identityfile", "certificatefile", "identitiesonly", "identityagent",
	"hostkeyalias", "userknownhostsfile", "globalknownhostsfile", "revokedhostkeys", "stricthostkeychecking", "hashknownhosts",
	"controlpath", "batchmode", "passwordauthentication", "kbdinteractiveauthentication",
}

// several are keywords of which every line counts, not only the first.
var several = []string{"identityfile", "certificatefile"}

// get is the first value of key; values that are yes, no or another fixed word are in
// lower case.
func (o options) get(key string) string {
	values := o[key]
	if len(values) == 0 {
		return ""
	}
	switch v := values[0]; key {
	case "addressfamily", "identitiesonly", "stricthostkeychecking", "hashknownhosts", "proxyusefdpass", "batchmode", "passwordauthentication", "kbdinteractiveauthentication":
		switch v = strings.ToLower(v); v {
		case "true":
			return "yes"
		case "false", "off":
			return "no"
		}
		return v
	default:
		return v
	}
}

// sshDefaults are the identity files that ssh -G lists if none is configured.
var sshDefaults = []string{"id_rsa", "id_dsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_xmss", "id_mldsa44_ed25519"}

// identities are the configured identity files, without ssh's defaults.
func (o options) identities() []string {
	files := o["identityfile"]
	unasked := func(f string) bool {
		name, ok := strings.CutPrefix(f, "~/.ssh/")
		return ok && slices.Contains(sshDefaults, name)
	}
	// A default that was configured by name is alone, or among other files.
	if o.fromSSH() && len(files) > 2 && !slices.ContainsFunc(files, func(f string) bool { return !unasked(f) }) {
		return nil
	}
	return files
}

// fileList splits a list of files. ssh -G prints names with blanks without quotes; a new
// name begins with a slash, a tilde, an expansion, or is none.
func fileList(s string) []string {
	var out []string
	for _, word := range strings.Fields(s) {
		if len(out) == 0 || strings.ContainsAny(word[:1], "/~$%") || strings.EqualFold(word, "none") {
			out = append(out, word)
			continue
		}
		out[len(out)-1] += " " + word
	}
	return out
}
