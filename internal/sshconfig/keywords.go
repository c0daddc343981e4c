package sshconfig

import (
	"slices"
	"strings"
)

// options is what ssh's config says about one host: values by keyword, in lower case.
type options map[string][]string

// keywords are those that flock acts on.
var keywords = []string{
	"user", "hostname", "port", "proxyjump", "proxycommand", "proxyusefdpass", "addressfamily",
	"identityfile", "certificatefile", "identitiesonly", "identityagent",
	"hostkeyalias", "userknownhostsfile", "globalknownhostsfile", "revokedhostkeys", "stricthostkeychecking", "hashknownhosts",
}

// several are the keywords of which every line counts, not the first alone.
var several = []string{"identityfile", "certificatefile"}

// get is the first value of key; those of yes and no, and names of ours, in lower case.
func (o options) get(key string) string {
	values := o[key]
	if len(values) == 0 {
		return ""
	}
	switch v := values[0]; key {
	case "addressfamily", "identitiesonly", "stricthostkeychecking", "hashknownhosts", "proxyusefdpass":
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

// sshDefaults are the identity files that ssh names when none was asked for.
var sshDefaults = []string{"id_rsa", "id_dsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_xmss", "id_mldsa44_ed25519"}

// identities are the identity files that the config names, without ssh's defaults.
func (o options) identities() []string {
	files := o["identityfile"]
	unasked := func(f string) bool {
		name, ok := strings.CutPrefix(f, "~/.ssh/")
		return ok && slices.Contains(sshDefaults, name)
	}
	// A default that was asked for by name stands alone, or among others.
	if o.fromSSH() && len(files) > 2 && !slices.ContainsFunc(files, func(f string) bool { return !unasked(f) }) {
		return nil
	}
	return files
}

// fileList takes a list of files apart. ssh -G prints names with blanks without quotes, so
// a new name begins where one can: with a slash, a tilde, an expansion, or none.
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
