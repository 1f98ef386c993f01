//go:build unix

package preseed

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"
)

// leastStall is how long a restore may make no progress where the run tries for less: a big file that is compared is none until it is done.
const leastStall = 10 * time.Minute

// progress is what a program said that it did, which may be more than what comes to the pool.
type progress struct{ done atomic.Int64 }

// line takes a line of the status of restic.
func (p *progress) line(text []byte) {
	var s struct {
		Type          string `json:"message_type"`
		Files         int64  `json:"files_restored"`
		Bytes         int64  `json:"bytes_restored"`
		FilesSkipped  int64  `json:"files_skipped"`
		BytesSkipped  int64  `json:"bytes_skipped"`
		FilesFinished int64  `json:"files_finished"`
	}
	if json.Unmarshal(text, &s) == nil && s.Type == "status" {
		p.done.Store(s.Files + s.Bytes + s.FilesSkipped + s.BytesSkipped + s.FilesFinished)
	}
}

// watched ends the context where a restore into the dataset makes no progress for as long as the run tries: systemd cuts nothing off, and what waits for an answer that never
// comes would hold the service up for ever, without a word. stop has to be called.
func (r *runner) watched(ctx context.Context, staged string, p *progress) (_ context.Context, stop func()) {
	limit := r.stall
	if limit == 0 {
		limit = max(r.patience(), leastStall)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(min(limit/10, time.Minute))
		defer tick.Stop()
		used, done, since := "", int64(0), time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// Where the pool says nothing there is none either.
			if props, err := r.properties(ctx, staged, "used"); err == nil && props != nil && props["used"].value != used {
				used, since = props["used"].value, time.Now()
			}
			if now := p.done.Load(); now != done {
				done, since = now, time.Now()
			}
			if time.Since(since) >= limit {
				cancel(fmt.Errorf("nothing more has come for %s: it was ended", limit.Round(time.Second)))
				return
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}
