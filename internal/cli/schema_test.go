package cli

import (
	"cmp"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/flocknet/flock/internal/capture"
	"github.com/flocknet/flock/internal/contract"
	"github.com/flocknet/flock/internal/doctor"
	"github.com/flocknet/flock/internal/explain"
	"github.com/flocknet/flock/internal/graph"
	"github.com/flocknet/flock/internal/labcmd"
	"github.com/flocknet/flock/internal/schema"
	"github.com/flocknet/flock/internal/sshcmd"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"

	"github.com/flocknet/flock/internal/lab"
)

// schemas is where the schemas of what -o json prints are, from this directory.
const schemas = "../../docs/schema"

// changed is the file of what commands that change something print; plan and status, too.
const changed = "change"

// documents are what commands print as JSON, by command. Those that are not here print a change,
// if they are changing, or nothing.
func documents() map[string][]any {
	return map[string][]any{
		"listservers":   {view.ServerList{}, view.ServerDetail{}},
		"listnetworks":  {view.NetworkList{}, view.Network{}},
		"showbgp":       {view.SpeakerList{}, view.SpeakerDoc{}, view.ExchangeDoc{}},
		"listnet":       {view.NetList{}},
		"history":       {view.GenerationList{}},
		"import":        {copyDoc{}},
		"pull":          {copyDoc{}},
		"diff":          {diffDoc{}},
		"purge":         {purgeDoc{}, view.OutcomeDoc{}},
		"verify":        {view.VerifyDoc{}},
		"probe":         {view.ProbeDoc{}},
		"doctor":        {doctor.Doc{}},
		"trace":         {view.TraceDoc{}},
		"graph":         {graph.Model{}},
		"explain":       {explain.Document{}},
		"each":          {sshcmd.EachDoc{}},
		"capture":       {capture.Document{}},
		"version":       {versionView{}},
		"lab list":      {labcmd.List{}},
		"lab container": {lab.Container{}},
	}
}

// silent are the commands that change something and say what in words alone.
var silent = []string{"resetbgp"}

// commandsOf are all commands of a tree that can be called, by their words.
func commandsOf(root *cobra.Command) map[string]*cobra.Command {
	out := map[string]*cobra.Command{}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.HasParent() {
			out[strings.Join(strings.Fields(cmd.CommandPath())[1:], " ")] = cmd
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root)
	return out
}

// Each command's JSON has its schema, which is made of the types that are printed, and no file is
// of no command.
func TestSchemas(t *testing.T) {
	t.Parallel()
	const top = "../.."
	want := map[string][]byte{}
	add := func(name string, text []byte, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		want[name] = text
	}
	text, err := schema.OfError(top, contract.Format, contract.Problem{})
	add("error", text, err)
	text, err = schema.Of(top, "what a change came to, or would", contract.Format, view.OutcomeDoc{})
	add(changed, text, err)
	all, docs := commandsOf(bareTree()), documents()
	for name, cmd := range all {
		title, file := "flock "+name+" -o json", strings.ReplaceAll(name, " ", "-")
		switch {
		case docs[name] != nil:
			text, err = schema.Of(top, title, contract.Format, docs[name]...)
			add(file, text, err)
		case cmd.Annotations["changes"] != "" && !slices.Contains(silent, name), name == "plan", name == "status":
			text, err = schema.Like(title, changed+".json")
			add(file, text, err)
		}
	}
	for name := range docs {
		if all[name] == nil {
			t.Errorf("there is no command %s", name)
		}
	}
	have, err := filepath.Glob(filepath.Join(schemas, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range have {
		if want[strings.TrimSuffix(filepath.Base(file), ".json")] == nil {
			t.Errorf("%s is the schema of nothing", file)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		compare(t, filepath.Join(schemas, name+".json"), want[name])
	}
}

// loaded are the schemas, once they were read.
var loaded = sync.OnceValues(func() (*schema.Set, error) { return schema.Load(schemas) })

// asDocumented fails the test when what was printed as JSON is not as its schema says.
func (b *bench) asDocumented(args []string) {
	b.t.Helper()
	name, asked := schema.Asked(bareTree(), args)
	if !asked || *update {
		return
	}
	set, err := loaded()
	if err == nil {
		_, err = set.Check(name, b.out.Bytes())
	}
	if err != nil {
		b.t.Errorf("%v\n%s", err, b.out.String())
	}
}

// A document that is not as its schema says is found: a field too many, one too few, another
// type, another format, two documents where the second is bad.
func TestWrongDocumentsAreFound(t *testing.T) {
	t.Parallel()
	set, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	const good = `{"format":1,"version":"v1","go":"go1","os":"linux","arch":"amd64"}`
	for _, test := range []struct {
		command, text string
		n             int
		wrong         bool
	}{
		{"version", good, 1, false},
		{"version", "", 0, false},
		{"version", `{"format":1,"error":{"code":"failed","what":"x"}}`, 1, false},
		{"ssh", `{"format":1,"error":{"code":"failed","what":"x"}}`, 1, false},
		{"version", strings.Replace(good, `"go"`, `"more":1,"go"`, 1), 0, true},
		{"version", strings.Replace(good, `"format":1,`, ``, 1), 0, true},
		{"version", strings.Replace(good, `"format":1`, `"format":2`, 1), 0, true},
		{"version", strings.Replace(good, `,"arch":"amd64"`, ``, 1), 0, true},
		{"version", strings.Replace(good, `"linux"`, `5`, 1), 0, true},
		{"version", `{"format":1,"error":{"what":"x"}}`, 0, true},
		{"version", good + good[:len(good)-1], 1, true},
		{"version", "[" + good + "]", 0, true},
		{"ssh", good, 0, true},
		{"addnetwork", `{"format":1,"generation":1,"saved":true,"pending":[],"servers":[]}`, 1, false},
		{"addnetwork", `{"format":1,"generation":1,"saved":true,"pending":null,"servers":[]}`, 0, true},
		{"lab list", `{"format":1,"machines":[]}`, 1, false},
	} {
		n, err := set.Check(test.command, []byte(test.text))
		if n != test.n || (err != nil) != test.wrong {
			t.Errorf("%s %s: %d documents, %v", test.command, cmp.Or(test.text, "nothing"), n, err)
		}
	}
}

// What is asked for is read as the program reads it.
func TestAskedForJSON(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"listnetworks":                     "",
		"listnetworks -o json":             "listnetworks",
		"--json listnetworks vx1":          "listnetworks",
		"--state x lab list --output=json": "lab list",
		"each -o json -- uname":            "each",
		"each -- uname -o json":            "",
		"capture vx1 -o json":              "",
		"capture vx1 --json":               "capture",
		"status -o prometheus":             "",
	} {
		if name, asked := schema.Asked(bareTree(), strings.Fields(args)); asked != (want != "") || asked && name != want {
			t.Errorf("%s: %s, %v", args, name, asked)
		}
	}
}
