package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// Bounds of a call.
const (
	mostAnswer  = 64 << 20         // bytes
	mostTries   = 8                // while the cloud says: later
	mostDials   = 2                // while nobody answers
	oneCall     = 30 * time.Second // from the connection to the last byte
	oneDial     = 10 * time.Second
	firstWait   = 500 * time.Millisecond
	longestWait = 8 * time.Second
)

// caller sends calls no faster than a cloud takes them, and repeats those that it should.
type caller struct {
	http  *http.Client
	now   func() time.Time
	wait  func(context.Context, time.Duration) error
	burst float64 // calls at once
	rate  float64 // a second after that

	tokens float64
	filled time.Time
}

func newCaller(l Login, burst, rate float64) *caller {
	c := &caller{http: l.Client, now: time.Now, wait: wait, burst: burst, rate: rate, tokens: burst}
	if c.http == nil {
		c.http = &http.Client{Transport: transport(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if l.pace != nil {
		l.pace(c)
	}
	c.filled = c.now()
	return c
}

// transport is one of the workstation's own, by its proxy if it has one.
func transport() *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: oneDial}).DialContext,
		TLSHandshakeTimeout: oneDial, IdleConnTimeout: oneCall, ForceAttemptHTTP2: true,
	}
}

// wait passes d, or ends with ctx.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// pace waits until a call may be made that the cloud counts.
func (c *caller) pace(ctx context.Context) error {
	now := c.now()
	c.tokens = min(c.burst, c.tokens+now.Sub(c.filled).Seconds()*c.rate)
	c.filled = now
	if c.tokens--; c.tokens >= 0 {
		return nil
	}
	return c.wait(ctx, time.Duration(-c.tokens/c.rate*float64(time.Second)))
}

// mostPages is how many pages a list may have.
const mostPages = 1000

// pages follows a list from page to page.
type pages map[string]bool

// next takes the word by which the next page is asked for, and says whether there is one. A word
// that was given before, or too many of them, would keep flock there for ever.
func (p pages) next(token string) (bool, error) {
	switch {
	case token == "":
		return false, nil
	case p[token]:
		return false, errors.New("a list of the cloud's goes round in circles")
	case len(p) >= mostPages:
		return false, fmt.Errorf("a list of the cloud's has more than %d pages", mostPages)
	}
	p[token] = true
	return true, nil
}

// later is an answer that asks for another try.
type later struct{ error }

func (l later) Unwrap() error { return l.error }

// send makes a call and judges its answer: judge returns later for what is to be tried again.
func (c *caller) send(ctx context.Context, request func(context.Context) (*http.Request, error), judge func(status int, body []byte) error) error {
	var err error
	dials := 0
	for try := range mostTries {
		if try > 0 {
			most := min(firstWait<<(try-1), longestWait)
			if err := c.wait(ctx, most/2+time.Duration(rand.Int64N(int64(most)/2))); err != nil {
				return err
			}
		}
		var status int
		var body []byte
		status, body, err = c.once(ctx, request)
		switch {
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, new(refusal)):
			return err
		case err != nil:
			if dials++; dials >= mostDials {
				return unanswered{err}
			}
		default:
			if err = judge(status, body); !errors.As(err, new(later)) {
				return err
			}
		}
	}
	return err
}

// refusal is the error of a call that was not made, and would not be a second time.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// unanswered is the error of an API that cannot be reached.
type unanswered struct{ error }

func (u unanswered) Unwrap() error { return u.error }

func (c *caller) once(ctx context.Context, request func(context.Context) (*http.Request, error)) (int, []byte, error) {
	ctx, end := context.WithTimeout(ctx, oneCall)
	defer end()
	r, err := request(ctx)
	if err != nil {
		return 0, nil, err
	}
	reply, err := c.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = reply.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(reply.Body, mostAnswer+1))
	if err == nil && len(body) > mostAnswer {
		err = fmt.Errorf("an answer of more than %d bytes", mostAnswer)
	}
	return reply.StatusCode, body, err
}
