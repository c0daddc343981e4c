//go:build linux

package sysfile

import "strings"

// What files of ours begin with: whose they are, and what they were made from.
const markPrefix, specPrefix = "# flock: ", "# spec: "

// Mark returns the ownership mark in a file's first line: CLUSTER/NETWORK or
// CLUSTER; "" where there is no such file or no mark.
func Mark(path string) (string, error) {
	text, err := ReadIfThere(path)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(text, "\n")
	mark, ours := strings.CutPrefix(line, markPrefix)
	if !ours {
		return "", nil
	}
	return mark, nil
}

// Spec returns what follows "# spec: " in the text of a file, "" if nothing does.
func Spec(text string) string {
	for line := range strings.Lines(text) {
		if s, ok := strings.CutPrefix(line, specPrefix); ok {
			return strings.TrimSuffix(s, "\n")
		}
	}
	return ""
}
