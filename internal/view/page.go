package view

import (
	"io"

	"github.com/flocknet/flock/internal/contract"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/screen"
)

// Page is where a command prints, and in which form.
type Page struct {
	screen.Streams
	Getenv  func(string) string
	Output  string // one of the forms below
	Verbose bool   // more: every step
	Quiet   bool   // nothing but data and errors

	doc any // printed as JSON, and not written yet
}

// Output forms.
const (
	FormTable = "table"
	FormJSON  = "json"
	FormWide  = "wide"
	// FormMetrics is Prometheus's text format, where a command has Metrics.
	FormMetrics = "prometheus"
)

// JSON says whether data is printed as one JSON document.
func (a *Page) JSON() bool { return a.Output == FormJSON }

// Metrics says whether data is printed as metrics.
func (a *Page) Metrics() bool { return a.Output == FormMetrics }

// Wide says whether everything is shown, and nothing is cut.
func (a *Page) Wide() bool { return a.Output == FormWide }

// Print writes a format of ours to w; args are made visible.
func (a *Page) Print(w io.Writer, format string, args ...any) error {
	return screen.Print(w, format, args...)
}

// Report prints an error with its advice, and with --verbose its code.
func (a *Page) Report(err error) { a.Complain(err, contract.Failed) }

// Complain is Report for an error that has another code, unless it says which it has.
func (a *Page) Complain(err error, code contract.Code) {
	screen.Error(a.Err, err)
	if a.Verbose {
		_ = a.Print(a.Err, "code:  %s\n", string(contract.Of(err, code)))
	}
}

// Say prints a line for a person.
func (a *Page) Say(format string, args ...any) {
	if !a.Quiet {
		_ = a.Print(a.Err, format+"\n", args...) // an error has nobody to be shown to
	}
}

// Notes prints what a person should know and no server's plan shows.
func (a *Page) Notes(list []ground.Note) {
	for _, n := range list {
		a.Say("note: %s: %s", n.Network, n.Text)
	}
}

// PrintJSON prints the one document of a command, an object: End writes it, with the error that
// may still come. One that was printed before is written now.
func (a *Page) PrintJSON(doc any) error {
	err := a.Flush()
	a.doc = doc
	return err
}

// Flush writes the document that was printed, if there is one.
func (a *Page) Flush() error {
	if a.doc == nil {
		return nil
	}
	return a.End(nil)
}

// End writes the document that was printed, with a problem, or the problem alone.
func (a *Page) End(p *contract.Problem) error {
	doc := a.doc
	a.doc = nil
	if doc == nil && p == nil {
		return nil
	}
	return contract.Write(a.Out, doc, p)
}

// TableWidth is what a table may take: a pipe gets whole lines.
func (a *Page) TableWidth() int {
	if !a.OutTTY {
		return 0
	}
	return a.Columns()
}
