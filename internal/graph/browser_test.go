package graph

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/flocknet/flock/internal/browser"
)

// open opens a page of ours, which loads nothing.
func open(t *testing.T, text string) (context.Context, *browser.Faults) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "net.html")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, faults := browser.Open(t, "file://"+file, "file:///")
	browser.Do(ctx, t, "wait for the picture", chromedp.WaitReady(chromedp.CSS("#picture")))
	return ctx, faults
}

// eventually waits until an expression of the page is true.
func eventually(ctx context.Context, t *testing.T, expression string) {
	t.Helper()
	browser.Eventually(ctx, t, expression, "details.innerText")
}

// middle is where an element is in the window.
func middle(ctx context.Context, t *testing.T, id string) (x, y float64) {
	t.Helper()
	at := browser.Value[[]float64](ctx, t, `(() => { const b = document.getElementById("`+id+`").getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] })()`)
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
	ctx, faults := open(t, m.HTML())
	id := ""
	for _, s := range m.Servers() {
		if s.Name == "s2" {
			id = s.ID
		}
	}

	eventually(ctx, t, `getComputedStyle(document.querySelector("header")).display == "flex" && document.querySelectorAll(".server title").length == 0`)
	x, y := middle(ctx, t, id)
	browser.Do(ctx, t, "point at s2", chromedp.MouseEvent(moved, x, y))
	eventually(ctx, t, `!details.hidden && ["s2: pending", "address 10.99.0.2", "host key SHA256:s2", "mesh (wireguard): 10.8.0.2", "MTU 1440", "verified 2026-11-29"].every((w) => details.innerText.includes(w))`)
	eventually(ctx, t, `document.querySelector(".lane.lit[data-line=l1]") && !document.querySelector(".lane.lit[data-line=l4]") && getComputedStyle(document.querySelector(".lane[data-line=l4]")).opacity < 0.5`)
	browser.Do(ctx, t, "have it stay", chromedp.MouseClickXY(x, y), chromedp.MouseEvent(moved, 600, 20))
	eventually(ctx, t, `!details.hidden && details.classList.contains("stays")`)
	browser.Do(ctx, t, "end that", chromedp.MouseClickXY(x, y), chromedp.MouseEvent(moved, 600, 20))
	eventually(ctx, t, `details.hidden && !svg.classList.contains("dim")`)

	browser.Do(ctx, t, "search", chromedp.SendKeys(chromedp.CSS("#search"), "10.99.0.177"))
	eventually(ctx, t, `found.textContent == "1 found" && document.querySelector(".server.hit .name").textContent == "s177"`)
	browser.Do(ctx, t, "go there", chromedp.SendKeys(chromedp.CSS("#search"), "\r"))
	eventually(ctx, t, `(() => { const b = document.querySelector(".server.hit").getBoundingClientRect(); return b.width > 60 && b.top > 0 && b.bottom < innerHeight && b.left > 0 && b.right < innerWidth && details.innerText.startsWith("s177:") })()`)
	browser.Value[bool](ctx, t, `(search.select(), true)`)
	browser.Do(ctx, t, "search what is not there", chromedp.SendKeys(chromedp.CSS("#search"), "s999"))
	eventually(ctx, t, `found.textContent == "0 found"`)
	browser.Do(ctx, t, "end the search", chromedp.SendKeys(chromedp.CSS("#search"), "\x1b"))
	eventually(ctx, t, `found.textContent == "" && !document.querySelector(".hit")`)

	browser.Value[float64](ctx, t, `window.before = at.w`)
	browser.Do(ctx, t, "press +", chromedp.Click(chromedp.CSS("#in")))
	eventually(ctx, t, `at.w < before * 0.9`)
	x, y = middle(ctx, t, id)
	browser.Value[float64](ctx, t, `window.before = at.w`)
	if _, err := chromedp.Call(ctx, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseWheel, X: x, Y: y, DeltaX: 0.001, DeltaY: -100}); err != nil {
		t.Fatal(err)
	}
	eventually(ctx, t, `at.w < before * 0.9`)
	if nowX, nowY := middle(ctx, t, id); max(nowX-x, x-nowX, nowY-y, y-nowY) > 3 {
		t.Errorf("what the pointer was at moved from %.0f,%.0f to %.0f,%.0f", x, y, nowX, nowY)
	}
	browser.Do(ctx, t, "drag", chromedp.MouseEvent(pressed, 500, 600, chromedp.ButtonLeft), chromedp.MouseEvent(moved, 450, 500, chromedp.ButtonLeft), chromedp.MouseEvent(released, 450, 500, chromedp.ButtonLeft))
	if nowX, nowY := middle(ctx, t, id); max(x-50-nowX, nowX-x+50, y-100-nowY, nowY-y+100) > 3 {
		t.Errorf("dragged by -50,-100, it moved from %.0f,%.0f to %.0f,%.0f", x, y, nowX, nowY)
	}
	browser.Do(ctx, t, "show all", chromedp.Click(chromedp.CSS("#fit")))
	eventually(ctx, t, `at.w >= whole.w && at.h >= whole.h - 1`)
	if list := faults.All(); len(list) > 0 {
		t.Errorf("in the page: %s", list)
	}
}

// Names cannot run anything in the page, nor load anything.
func TestHostileNamesInABrowser(t *testing.T) {
	ctx, faults := open(t, strings.Replace(hostileModel(t).HTML(), "<body>", `<body><script>document.title = "evil"</script><img src="x" onerror="document.title = 'evil'">`, 1))
	eventually(ctx, t, `document.querySelectorAll(".server").length > 0 && document.querySelectorAll(".server title").length == 0`)
	title, scripts := browser.Value[string](ctx, t, "document.title"), browser.Value[int](ctx, t, "document.scripts.length")
	strange := browser.Value[int](ctx, t, `document.querySelectorAll("svg script, svg image, svg a, svg [onclick]").length`)
	if title == "evil" || strange > 0 || scripts != 2 {
		t.Errorf("title %q, %d elements of others, %d scripts", title, strange, scripts)
	}
	for _, f := range faults.All() {
		if !strings.Contains(f, "Content Security Policy") {
			t.Errorf("in the page: %s", f)
		}
	}
}
