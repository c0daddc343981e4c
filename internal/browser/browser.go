// Package browser is a real browser with a page open, for tests: Chromium without a window. It
// owns how one is started, told and asked, and notes what goes wrong in its page. What a page
// should show is for each test to say.
package browser

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/flocknet/flock/internal/lab"
)

// shell is Chromium without a window.
const shell = "chromium-headless-shell"

// Open is a Chromium with the page at url open, until the test ends. What goes wrong in the page,
// and everything that it would load from elsewhere than below home, is in Faults.
func Open(t *testing.T, url, home string) (context.Context, *Faults) {
	t.Helper()
	lab.Need(t, shell)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(shell), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.WindowSize(1200, 800), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	f := &Faults{}
	go f.listen(chromedp.Console(ctx))
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatalf("start the browser: %s", err)
	}
	err := chromedp.Listen(ctx, func(e any) {
		if e, loads := e.(*network.EventRequestWillBeSent); loads && !strings.HasPrefix(e.Request.URL, home) {
			f.add("loads " + e.Request.URL)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	Do(ctx, t, "open the page", chromedp.Navigate(url))
	return ctx, f
}

// Faults are what went wrong in a page, and what it would load.
type Faults struct {
	lock sync.Mutex
	list []string
}

func (f *Faults) add(text string) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.list = append(f.list, text)
}

// All are the faults so far, in their order.
func (f *Faults) All() []string {
	f.lock.Lock()
	defer f.lock.Unlock()
	return slices.Clone(f.list)
}

func (f *Faults) listen(messages iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range messages {
		if err != nil {
			return // the browser ended
		}
		f.add(m.String())
	}
}

// Do does things in the page, and fails the test where one of them cannot be done.
func Do(ctx context.Context, t *testing.T, what string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("%s: %s", what, err)
	}
}

// Value is that of an expression in the page.
func Value[T any](ctx context.Context, t *testing.T, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %s", expression, err)
	}
	return v
}

// Eventually waits until an expression of the page is true. Where it never is, the test ends with
// what the page says of itself by the expression state. (What the library has for that makes
// a function of text in the page, which the page's policy forbids.)
func Eventually(ctx context.Context, t *testing.T, expression, state string) {
	t.Helper()
	tick, limit := time.NewTicker(50*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for !Value[bool](ctx, t, "!!("+expression+")") {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("a minute later it is not so: %s\n%s: %s", expression, state, Value[string](ctx, t, state))
		}
	}
}
