package view

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
)

// Colours, as SGR parameters.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint makes text visible and adds a colour on a terminal, unless NO_COLOR
// (no-color.org) is set.
func (a *Page) paint(tty bool, colour, text string) string {
	text = screen.Visible(text)
	if !tty || colour == "" || a.Getenv("NO_COLOR") != "" || a.Getenv("TERM") == "dumb" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func actionColour(action string) string {
	switch action {
	case spec.Add:
		return green
	case spec.Remove:
		return red
	}
	return yellow
}

// PrintPlan prints what would be done: a heading per server, a line per step.
func (a *Page) PrintPlan(out *change.Outcome) error {
	if a.JSON() {
		return a.PrintJSON(OutcomeOf(out))
	}
	var b strings.Builder
	if len(out.Leaving) > 0 {
		b.WriteString("cluster file\n")
		for _, what := range out.Leaving {
			b.WriteString("  " + a.paint(a.OutTTY, red, spec.Remove) + " " + screen.Visible(what) + "\n")
		}
	}
	var all []spec.Step
	still := 0
	for _, s := range out.Servers {
		steps := stepsOf(s)
		all = append(all, steps...)
		switch {
		case s.Err != nil:
			fmt.Fprintf(&b, "server %s %s\n", screen.Visible(s.Name), a.paint(a.OutTTY, red, s.State))
			for _, err := range screen.Parts(s.Err) {
				fmt.Fprintf(&b, "  ! %s\n", screen.Message(err))
			}
		case len(steps) == 0:
			still++
			continue
		default:
			fmt.Fprintf(&b, "server %s\n", screen.Visible(s.Name))
		}
		for _, line := range a.StepLines(steps) {
			b.WriteString("  " + line + "\n")
		}
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	for _, n := range slices.Concat(out.Notes, out.Beside) {
		fmt.Fprintf(&b, "note: %s: %s\n", screen.Visible(n.Network), screen.Visible(n.Text))
	}
	note := func(line string) { b.WriteString(screen.Visible(line) + "\n") }
	LoosePorts(out.Servers, note)
	AwaitedContainers(out.Servers, note)
	b.WriteString(screen.Visible(planTotal(out, all, still)) + "\n")
	return a.Print(a.Out, "%s", screen.Ink(b.String()))
}

func planTotal(out *change.Outcome, all []spec.Step, still int) string {
	n := len(out.Servers)
	switch {
	case n == 0:
		return "no server has to change"
	case len(all) == 0 && still == n:
		return fmt.Sprintf("nothing to do on %s", Plural(n, "server"))
	}
	words := []string{}
	if len(all) > 0 {
		words = append(words, counts(all))
	}
	if still > 0 {
		words = append(words, fmt.Sprintf("%d unchanged", still))
	}
	var unknown []string
	for _, s := range out.Servers {
		if s.Plan == nil && s.Err != nil {
			unknown = append(unknown, s.Name)
		}
	}
	if len(unknown) > 0 {
		words = append(words, "not known of "+Listed(unknown))
	}
	return fmt.Sprintf("%s: %s", Plural(n, "server"), orNothing(strings.Join(words, ", ")))
}

func orNothing(s string) string {
	if s == "" {
		return "nothing planned"
	}
	return s
}

// Plural is n and what, with an s unless n is 1.
func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// fewAlike is how many steps of one kind get lines of their own.
const fewAlike = 4

// StepLines formats steps. Many steps of one kind (forwarding entries, neighbours,
// routes: one per other server) become one line with a count, unless --verbose or -o
// wide.
func (a *Page) StepLines(steps []spec.Step) []string {
	alike, said := map[string]int{}, map[string]bool{}
	for _, s := range steps {
		alike[foldKey(s)]++
	}
	var out []string
	for _, s := range steps {
		key := foldKey(s)
		action := a.paint(a.OutTTY, actionColour(s.Action), s.Action)
		if key == "" || alike[key] <= fewAlike || a.Wide() || a.Verbose {
			text := strings.TrimPrefix(s.String(), s.Action)
			if !a.Wide() && !a.Verbose {
				text = foldHosts(text)
			}
			out = append(out, action+screen.Visible(text))
			continue
		}
		if !said[key] {
			kind, first, _ := strings.Cut(s.Object, " ")
			out = append(out, fmt.Sprintf("%s %s: %d of them, the first %s", action, kind, alike[key], screen.Visible(first)))
			said[key] = true
		}
	}
	return out
}

// foldHosts shortens the list of members' names in a line about DHCP.
func foldHosts(text string) string {
	return manyHosts.ReplaceAllStringFunc(text, func(hosts string) string {
		list := strings.SplitAfter(hosts, " host ")[1:]
		return " host " + strings.TrimSuffix(list[0], " host ") + fmt.Sprintf(" and %d more", len(list)-1)
	})
}

var manyHosts = regexp.MustCompile(fmt.Sprintf(`( host [^ ]+){%d,}`, fewAlike+1))

// foldKey is the kind by which a step is counted; steps with "" always get lines of
// their own.
func foldKey(s spec.Step) string {
	kind, _, _ := strings.Cut(s.Object, " ")
	switch kind {
	case "fdb", "neigh", "peer", "route":
		return s.Action + kind
	}
	return ""
}
