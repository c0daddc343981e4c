//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/flocknet/flock/internal/cli"
	"github.com/flocknet/flock/internal/schema"
)

// documented are the schemas of docs/schema, read once.
var documented struct {
	once sync.Once
	set  *schema.Set
	err  error
}

// asDocumented holds what a flock of a walk printed as JSON against its schema: of the commands
// that a walk calls, and of the dry runs before them.
func asDocumented(ts *testscript.TestScript, args []string) error {
	name, asked := schema.Asked(cli.Tree("flock"), args)
	if !asked {
		return nil
	}
	d := &documented
	d.once.Do(func() { d.set, d.err = schema.Load(filepath.Join(ts.Getenv("TREE"), "docs", "schema")) })
	if d.err != nil {
		return d.err
	}
	if _, err := d.set.Check(name, []byte(ts.ReadFile("stdout"))); err != nil {
		return fmt.Errorf("flock %s: %w", strings.Join(args, " "), err)
	}
	return nil
}
