package remote

import (
	"context"
	"sync"
	"time"
)

// Result is the result for one item of Each.
type Result[T any] struct {
	Value T
	Err   error
	Took  time.Duration // from its start to its end
}

// Each calls do for every item, parallel at a time (without limit if parallel is 0 or
// less), and returns one result per item, in order. A failure stops no other item. An
// item that was not begun when ctx ended has its cause as error.
func Each[K, T any](ctx context.Context, items []K, parallel int, do func(context.Context, K) (T, error)) []Result[T] {
	results := make([]Result[T], len(items))
	if parallel <= 0 || parallel > len(items) {
		parallel = len(items)
	}
	next := make(chan int)
	var workers sync.WaitGroup
	for range parallel {
		workers.Go(func() {
			for i := range next {
				start := time.Now()
				r := &results[i]
				if r.Err = context.Cause(ctx); r.Err == nil {
					r.Value, r.Err = do(ctx, items[i])
				}
				r.Took = time.Since(start)
			}
		})
	}
	for i := range items {
		next <- i
	}
	close(next)
	workers.Wait()
	return results
}
