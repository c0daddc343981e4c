package help

import (
	"cmp"
	"embed"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/contract"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// pages are the texts of topics: a file each, whose first line is what `flock help` says of it. A
// page of the name of a type is followed by what the type takes.
//
//go:embed pages
var pages embed.FS

const suffix = ".txt"

// Topics are the names of all pages, sorted.
func Topics() []string {
	list, _ := pages.ReadDir("pages") // it is embedded
	var out []string
	for _, e := range list {
		out = append(out, strings.TrimSuffix(e.Name(), suffix))
	}
	slices.Sort(out)
	return out
}

// page is the text of a topic: in a line, and whole; "" if there is none.
func page(name string) (line, text string) {
	data, err := pages.ReadFile("pages/" + name + suffix)
	if err != nil {
		return "", ""
	}
	line, text, _ = strings.Cut(string(data), "\n\n")
	return line, text
}

func short(name string) string {
	line, _ := page(name)
	return line
}

// Topic is the page of a topic; "" if there is none.
func Topic(root *cobra.Command, name string) string {
	line, text := page(name)
	if line == "" {
		return ""
	}
	text = strings.ReplaceAll(text, "{codes}", codes())
	text = strings.ReplaceAll(text, "{types}", types())
	return name + ": " + line + "\n\n" + strings.TrimRight(text, "\n") + "\n" + options(root, name)
}

// codes are the codes of errors, in lines of help.
func codes() string {
	var b strings.Builder
	column := 0
	for i, c := range contract.Codes() {
		word := string(c)
		switch {
		case i == 0:
		case column+len(word) > 80:
			b.WriteString(",\n")
			column = 0
		default:
			b.WriteString(", ")
		}
		b.WriteString(word)
		column += len(word) + 2
	}
	return b.String()
}

// types are the topics that are types of networks, a line each.
func types() string {
	var lines []string
	for _, name := range Topics() {
		if isType(name) {
			lines = append(lines, "  "+name+strings.Repeat(" ", max(1, 10-len(name)))+short(name))
		}
	}
	return strings.Join(lines, "\n")
}

// isType says whether a topic is a type of networks, or of tunnels.
func isType(name string) bool { return network.KindOf(&state.Network{Type: name}).Name != "" }

// options are the flags that make and change networks of a type; "" for what is none.
func options(root *cobra.Command, name string) string {
	text := ""
	for _, tunnel := range []bool{false, true} {
		kind := network.KindOf(&state.Network{Type: name, Tunnel: tunnel})
		if kind.Name == "" || kind.Tunnel != tunnel { // ipip is both
			continue
		}
		maker := strings.Fields(cmp.Or(kind.Command, "flock createnetwork"))[1]
		text += flagsOf(root, maker, "Flags of "+maker+" for it", func(f *pflag.Flag) bool {
			return f.Name != "help" && (!kind.Created() || takes(kind, f.Name))
		})
		text += flagsOf(root, "setnetwork", "What setnetwork can change besides", func(f *pflag.Flag) bool {
			return slices.Contains(kind.Options(), f.Name) && option.Of(f.Name).Help == ""
		})
	}
	return text
}

// flagsOf are the flags of a command that are wanted, with a title; "" if there are none.
func flagsOf(root *cobra.Command, command, title string, wanted func(*pflag.Flag) bool) string {
	out := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, cmd := range root.Commands() {
		if cmd.Name() != command {
			continue
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if wanted(f) {
				out.AddFlag(f)
			}
		})
	}
	if !out.HasFlags() {
		return ""
	}
	return "\n" + title + ":\n" + flags(out) + "\n"
}

// takes says whether a kind takes a flag of createnetwork.
func takes(kind *network.Kind, flag string) bool {
	return kind.Takes(flag) || flag == "no-dhcp" && kind.Takes("dhcp")
}
