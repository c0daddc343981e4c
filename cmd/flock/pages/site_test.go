package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"golang.org/x/net/html"

	"github.com/flocknet/flock/internal/browser"
	"github.com/flocknet/flock/internal/lab"
)

// TestSite makes the site, follows its links, and searches in it with a browser.
func TestSite(t *testing.T) {
	lab.Need(t, "mkdocs", "git")
	dir := filepath.Join(t.TempDir(), "site")
	cmd := exec.CommandContext(t.Context(), "cmd/flock/pages/site.sh", dir)
	cmd.Dir = "../../.."
	if text, err := cmd.CombinedOutput(); err != nil || len(text) > 0 {
		t.Fatalf("make the site: %v\n%s", err, text)
	}
	pages := readSite(t, dir)
	t.Run("pages", func(t *testing.T) { everyPageIsThere(t, pages) })
	t.Run("links", func(t *testing.T) { everyLinkLeadsSomewhere(t, dir, pages) })
	t.Run("search", func(t *testing.T) { searchFinds(t, dir) })
}

// sitePage is what a page of the site offers and asks for.
type sitePage struct {
	anchors map[string]bool
	links   []string
	nav     []string // the links of these that are in the navigation
}

// readSite is the site's pages by their paths. The one for paths that are none is not among them:
// its links are absolute.
func readSite(t *testing.T, dir string) map[string]*sitePage {
	t.Helper()
	pages := map[string]*sitePage{}
	err := filepath.WalkDir(dir, func(file string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".html" || filepath.Base(file) == "404.html" {
			return err
		}
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		root, err := html.Parse(f)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, file)
		p := &sitePage{anchors: map[string]bool{}}
		p.read(root, false)
		pages[name] = p
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

func (p *sitePage) read(n *html.Node, nav bool) {
	for _, a := range n.Attr {
		switch {
		case a.Key == "id":
			p.anchors[a.Val] = true
		case a.Key == "href" && n.Data == "a", a.Key == "src":
			p.links = append(p.links, a.Val)
			if nav {
				p.nav = append(p.nav, a.Val)
			}
		}
	}
	nav = nav || n.Data == "nav"
	for c := range n.ChildNodes() {
		p.read(c, nav)
	}
}

// everyPageIsThere: each page of docs is in the site, and in its navigation.
func everyPageIsThere(t *testing.T, pages map[string]*sitePage) {
	front := pages["index.html"]
	if front == nil {
		t.Fatal("there is no front page")
	}
	reached := map[string]bool{}
	for _, link := range front.nav {
		reached[link] = true
	}
	list, err := exec.CommandContext(t.Context(), "git", "-C", "../../..", "ls-files", "docs/*.md", "ARCHITECTURE.md", "CONTRIBUTING.md").Output()
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Fields(string(list))
	if len(files) < 40 {
		t.Fatalf("only %d pages", len(files))
	}
	for _, file := range files {
		page := strings.TrimSuffix(file, ".md") + ".html"
		if path.Base(file) == "README.md" {
			page = path.Join(path.Dir(file), "index.html")
		}
		if pages[page] == nil || !reached[page] {
			t.Errorf("%s is no page of the site, or not in its navigation: it belongs into the table of docs/README.md", file)
		}
	}
}

func everyLinkLeadsSomewhere(t *testing.T, dir string, pages map[string]*sitePage) {
	for name, p := range pages {
		for _, link := range p.links {
			u, err := url.Parse(link)
			if err != nil {
				t.Errorf("%s: link %s: %v", name, link, err)
				continue
			}
			if u.IsAbs() || u.Host != "" {
				continue
			}
			to := name
			if u.Path != "" {
				to = path.Join(path.Dir(name), u.Path)
			}
			if info, err := os.Stat(filepath.Join(dir, to)); err != nil || info.IsDir() {
				t.Errorf("%s: link %s leads nowhere", name, link)
			} else if there := pages[to]; u.Fragment != "" && there != nil && !there.anchors[u.Fragment] {
				t.Errorf("%s: link %s: no such place on that page", name, link)
			}
		}
	}
}

// searchFinds types into the search of the front page, as it is served, and follows the first hit.
func searchFinds(t *testing.T, dir string) {
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	ctx, faults := browser.Open(t, server.URL+"/index.html", server.URL+"/")
	const said = `document.querySelector(".md-search-result__meta").innerText`
	browser.Eventually(ctx, t, said+` == "Type to start searching"`, said)
	browser.Do(ctx, t, "search", chromedp.Click(chromedp.CSS(".md-search__input")), chromedp.SendKeys(chromedp.CSS(".md-search__input"), "move-addresses"))
	const hit = `document.querySelector(".md-search-result__link")`
	browser.Eventually(ctx, t, hit+` && `+hit+`.href.includes("docs/bridge.html")`, said)
	browser.Do(ctx, t, "go there", chromedp.Navigate(browser.Value[string](ctx, t, hit+".href")))
	if h1 := browser.Value[string](ctx, t, `document.querySelector("h1").innerText`); !strings.Contains(h1, "bridge") {
		t.Errorf("the hit leads to %q", h1)
	}
	for _, f := range faults.All() {
		if !strings.HasPrefix(f, "loads data:") { // what is in a page already
			t.Errorf("in the page: %s", f)
		}
	}
}
