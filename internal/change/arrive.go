package change

import (
	"context"
	"time"
)

// underway is how long a packet may be on its way on a path that nobody uses any more: on
// busy servers it waits in the queues of tunnel devices, and for the processes behind
// devices in userspace. A device that goes takes its queues along.
const underway = 300 * time.Millisecond

// arrive lets packets arrive that were sent before all servers turned away from a path.
func arrive(ctx context.Context) {
	over, end := context.WithTimeout(ctx, underway)
	defer end()
	<-over.Done()
}
