package house

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// What differs between kinds of network is a field or a method of network.Kind: nobody else
// asks what type a network has.

// kindConstants are the names of the types, as Go has them.
var kindConstants = []string{"AWSVPC", "AliVPC", "Alloc", "Azure", "BGP", "Bridge", "GCE", "GRE", "HostGW", "IPIP", "L2", "UDP", "VXLAN", "VXLANL3", "WireGuard"}

// isKindFile says whether a file of internal/network is that of a kind: it has a function
// that returns one.
func isKindFile(s source) bool {
	if s.dir() != "internal/network" {
		return false
	}
	return slices.ContainsFunc(s.file.Decls, func(d ast.Decl) bool {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !strings.HasSuffix(f.Name.Name, "Kind") || f.Type.Results == nil {
			return false
		}
		star, ok := f.Type.Results.List[0].Type.(*ast.StarExpr)
		if !ok {
			return false
		}
		name, ok := star.X.(*ast.Ident)
		return ok && name.Name == "Kind"
	})
}

// isType says whether e is the type of a network, or the name of a kind.
func isType(e ast.Expr) bool {
	sel, ok := e.(*ast.SelectorExpr)
	return ok && (sel.Sel.Name == "Type" || sel.Sel.Name == "Name")
}

// namesKind says whether e is one of the types, by its constant or in quotes.
func namesKind(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return slices.Contains(kindConstants, e.Name)
	case *ast.SelectorExpr:
		pkg, ok := e.X.(*ast.Ident)
		return ok && pkg.Name == "network" && slices.Contains(kindConstants, e.Sel.Name)
	case *ast.BasicLit:
		return slices.Contains([]string{"ali-vpc", "alloc", "aws-vpc", "azure", "bgp", "bridge", "gce", "gre", "host-gw", "ipip", "l2", "udp", "vxlan", "vxlan-l3", "wireguard"}, strings.Trim(e.Value, "\""))
	}
	return false
}

// typeTests are the places of a file that ask what type a network has.
func typeTests(s source) []string {
	var out []string
	found := func(n ast.Node) {
		out = append(out, fmt.Sprintf("%s:%d", s.name, s.fset.Position(n.Pos()).Line))
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if (n.Op == token.EQL || n.Op == token.NEQ) && (isType(n.X) && namesKind(n.Y) || isType(n.Y) && namesKind(n.X)) {
				found(n)
			}
		case *ast.SwitchStmt:
			if n.Tag == nil || !isType(n.Tag) {
				break
			}
			for _, c := range n.Body.List {
				if slices.ContainsFunc(c.(*ast.CaseClause).List, namesKind) {
					found(c)
				}
			}
		}
		return true
	})
	return out
}

// TestKindsAreAsked: outside of the kinds' own files of internal/network nobody asks what
// type a network has.
func TestKindsAreAsked(t *testing.T) {
	kinds := 0
	for _, s := range sources(t) {
		switch {
		case s.isTest():
		case isKindFile(s):
			kinds++
		default:
			for _, at := range typeTests(s) {
				t.Errorf("%s asks for the type of a network: let its kind say it (network.Kind)", at)
			}
		}
	}
	if kinds < 9 {
		t.Errorf("%d files of kinds were found", kinds)
	}
}

// A type test is found, however it is written.
func TestTypeTestIsFound(t *testing.T) {
	for text, want := range map[string]int{
		"if n.Type == WireGuard {}": 1, "if network.BGP != c.Networks[name].Type {}": 1, `if n.Type == "l2" {}`: 1, "switch n.Type { case GRE, IPIP: }": 1,
		"if KindOf(n).Name == UDP {}": 1, "if l.Kind == spec.WireGuard {}": 0, "if old.Type != n.Type {}": 0,
	} {
		s := parsed(t, "p.go", "package p\n\nfunc f() {\n"+text+"\n}\n")
		if have := len(typeTests(s)); have != want {
			t.Errorf("%s: want %d, have %d", text, want, have)
		}
	}
}
