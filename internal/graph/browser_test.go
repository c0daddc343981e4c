package graph

import (
	"context"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/flocknet/flock/internal/lab"
)

// shell is Chromium without a window.
const shell = "chromium-headless-shell"

// browser is a Chromium with a page open. What goes wrong in the page, and everything that it
// would load, ends up in faults.
func browser(t *testing.T, text string) (context.Context, *faults) {
	t.Helper()
	lab.Need(t, shell)
	file := filepath.Join(t.TempDir(), "net.html")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(shell), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.WindowSize(1200, 800), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	f := &faults{}
	go f.listen(chromedp.Console(ctx))
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatalf("start the browser: %s", err)
	}
	err := chromedp.Listen(ctx, func(e any) {
		if e, loads := e.(*network.EventRequestWillBeSent); loads && !strings.HasPrefix(e.Request.URL, "file:///") {
			f.add("loads " + e.Request.URL)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	do(ctx, t, "open the page", chromedp.Navigate("file://"+file), chromedp.WaitReady(chromedp.CSS("#picture")))
	return ctx, f
}

// faults are what went wrong in a page, and what it would load.
type faults struct {
	lock sync.Mutex
	list []string
}

func (f *faults) add(text string) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.list = append(f.list, text)
}

func (f *faults) all() []string {
	f.lock.Lock()
	defer f.lock.Unlock()
	return slices.Clone(f.list)
}

func (f *faults) listen(messages iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range messages {
		if err != nil {
			return // the browser ended
		}
		f.add(m.String())
	}
}

// do does things in the page, and fails the test where one of them cannot be done.
func do(ctx context.Context, t *testing.T, what string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("%s: %s", what, err)
	}
}

// value is that of an expression in the page.
func value[T any](ctx context.Context, t *testing.T, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %s", expression, err)
	}
	return v
}

// eventually waits until an expression of the page is true. (What the library has for that makes
// a function of text in the page, which the page's policy forbids.)
func eventually(ctx context.Context, t *testing.T, expression string) {
	t.Helper()
	tick, limit := time.NewTicker(50*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for !value[bool](ctx, t, "!!("+expression+")") {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("a minute later it is not so: %s\ndetails: %s", expression, value[string](ctx, t, "details.innerText"))
		}
	}
}

// middle is where an element is in the window.
func middle(ctx context.Context, t *testing.T, id string) (x, y float64) {
	t.Helper()
	at := value[[]float64](ctx, t, `(() => { const b = document.getElementById("`+id+`").getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] })()`)
	return at[0], at[1]
}

// Events of the pointer.
const (
	moved    = input.DispatchMouseEventTypeMouseMoved
	pressed  = input.DispatchMouseEventTypeMousePressed
	released = input.DispatchMouseEventTypeMouseReleased
)

// TestPageInABrowser drives the page of 200 servers as a person would: points, searches, zooms
// and moves.
func TestPageInABrowser(t *testing.T) {
	m := twoHundred().model(t, "s2")
	ctx, faults := browser(t, m.HTML())
	id := ""
	for _, s := range m.Servers() {
		if s.Name == "s2" {
			id = s.ID
		}
	}

	eventually(ctx, t, `getComputedStyle(document.querySelector("header")).display == "flex" && document.querySelectorAll(".server title").length == 0`)
	x, y := middle(ctx, t, id)
	do(ctx, t, "point at s2", chromedp.MouseEvent(moved, x, y))
	eventually(ctx, t, `!details.hidden && ["s2: pending", "address 10.99.0.2", "host key SHA256:s2", "mesh (wireguard): 10.8.0.2", "MTU 1440", "verified 2026-11-29"].every((w) => details.innerText.includes(w))`)
	eventually(ctx, t, `document.querySelector(".lane.lit[data-line=l1]") && !document.querySelector(".lane.lit[data-line=l4]") && getComputedStyle(document.querySelector(".lane[data-line=l4]")).opacity < 0.5`)
	do(ctx, t, "have it stay", chromedp.MouseClickXY(x, y), chromedp.MouseEvent(moved, 600, 20))
	eventually(ctx, t, `!details.hidden && details.classList.contains("stays")`)
	do(ctx, t, "end that", chromedp.MouseClickXY(x, y), chromedp.MouseEvent(moved, 600, 20))
	eventually(ctx, t, `details.hidden && !svg.classList.contains("dim")`)

	do(ctx, t, "search", chromedp.SendKeys(chromedp.CSS("#search"), "10.99.0.177"))
	eventually(ctx, t, `found.textContent == "1 found" && document.querySelector(".server.hit .name").textContent == "s177"`)
	do(ctx, t, "go there", chromedp.SendKeys(chromedp.CSS("#search"), "\r"))
	eventually(ctx, t, `(() => { const b = document.querySelector(".server.hit").getBoundingClientRect(); return b.width > 60 && b.top > 0 && b.bottom < innerHeight && b.left > 0 && b.right < innerWidth && details.innerText.startsWith("s177:") })()`)
	value[bool](ctx, t, `(search.select(), true)`)
	do(ctx, t, "search what is not there", chromedp.SendKeys(chromedp.CSS("#search"), "s999"))
	eventually(ctx, t, `found.textContent == "0 found"`)
	do(ctx, t, "end the search", chromedp.SendKeys(chromedp.CSS("#search"), "\x1b"))
	eventually(ctx, t, `found.textContent == "" && !document.querySelector(".hit")`)

	value[float64](ctx, t, `window.before = at.w`)
	do(ctx, t, "press +", chromedp.Click(chromedp.CSS("#in")))
	eventually(ctx, t, `at.w < before * 0.9`)
	x, y = middle(ctx, t, id)
	value[float64](ctx, t, `window.before = at.w`)
	if _, err := chromedp.Call(ctx, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseWheel, X: x, Y: y, DeltaX: 0.001, DeltaY: -100}); err != nil {
		t.Fatal(err)
	}
	eventually(ctx, t, `at.w < before * 0.9`)
	if nowX, nowY := middle(ctx, t, id); max(nowX-x, x-nowX, nowY-y, y-nowY) > 3 {
		t.Errorf("what the pointer was at moved from %.0f,%.0f to %.0f,%.0f", x, y, nowX, nowY)
	}
	do(ctx, t, "drag", chromedp.MouseEvent(pressed, 500, 600, chromedp.ButtonLeft), chromedp.MouseEvent(moved, 450, 500, chromedp.ButtonLeft), chromedp.MouseEvent(released, 450, 500, chromedp.ButtonLeft))
	if nowX, nowY := middle(ctx, t, id); max(x-50-nowX, nowX-x+50, y-100-nowY, nowY-y+100) > 3 {
		t.Errorf("dragged by -50,-100, it moved from %.0f,%.0f to %.0f,%.0f", x, y, nowX, nowY)
	}
	do(ctx, t, "show all", chromedp.Click(chromedp.CSS("#fit")))
	eventually(ctx, t, `at.w >= whole.w && at.h >= whole.h - 1`)
	if list := faults.all(); len(list) > 0 {
		t.Errorf("in the page: %s", list)
	}
}

// Names cannot run anything in the page, nor load anything.
func TestHostileNamesInABrowser(t *testing.T) {
	ctx, faults := browser(t, strings.Replace(hostileModel(t).HTML(), "<body>", `<body><script>document.title = "evil"</script><img src="x" onerror="document.title = 'evil'">`, 1))
	eventually(ctx, t, `document.querySelectorAll(".server").length > 0 && document.querySelectorAll(".server title").length == 0`)
	title, scripts := value[string](ctx, t, "document.title"), value[int](ctx, t, "document.scripts.length")
	strange := value[int](ctx, t, `document.querySelectorAll("svg script, svg image, svg a, svg [onclick]").length`)
	if title == "evil" || strange > 0 || scripts != 2 {
		t.Errorf("title %q, %d elements of others, %d scripts", title, strange, scripts)
	}
	for _, f := range faults.all() {
		if !strings.Contains(f, "Content Security Policy") {
			t.Errorf("in the page: %s", f)
		}
	}
}
