package cloud

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestProgramThatHangs: a program of a cloud's that does not end, and one whose child holds its
// output, are given up.
func TestProgramThatHangs(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"az":     "exec sleep 1000",
		"gcloud": "sleep 1000 & wait",
		"aws":    "echo first >&2; echo last >&2; exit 3",
		"good":   "echo token",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for argv, want := range map[string]string{
		"az account get-access-token": "az account get-access-token: it did not end within 200ms",
		"gcloud auth":                 "gcloud auth: it did not end within 200ms",
		"none":                        "no credentials for X were found",
	} {
		began := time.Now()
		_, err := printed(t.Context(), 200*time.Millisecond, "X", "log in", strings.Fields(argv)...)
		if err == nil || !strings.Contains(err.Error(), want) || time.Since(began) > time.Minute {
			t.Errorf("%s: %v after %s", argv, err, time.Since(began))
		}
	}
	if _, err := printed(t.Context(), time.Minute, "X", "log in", "aws"); err == nil || !strings.Contains(err.Error(), "aws: last") {
		t.Error(err)
	}
	if out, err := printed(t.Context(), time.Minute, "X", "log in", "good"); err != nil || string(out) != "token\n" {
		t.Errorf("%s, %v", out, err)
	}
}
