//go:build unix

package pitr

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/pgtest"
)

// remove deletes an object.
func (b *bench) remove(key string) {
	b.t.Helper()
	s, err := newBucket(b.p.Destination, b.p.Server, b.S3.URL, "", func(name string) string {
		return map[string]string{"AWS_ACCESS_KEY_ID": "forge", "AWS_SECRET_ACCESS_KEY": pgtest.Secret}[name]
	})
	require.NoError(b.t, err)
	r, err := http.NewRequest(http.MethodDelete, s.endpoint+"/"+s.name+"/"+key, nil)
	require.NoError(b.t, err)
	sign(r, s.key, s.region, "s3", time.Now())
	resp, err := http.DefaultClient.Do(r)
	require.NoError(b.t, err)
	resp.Body.Close()
	require.Equal(b.t, http.StatusNoContent, resp.StatusCode)
}

// G3: a segment that is gone makes no shorter log that looks whole.
func TestG3ASegmentIsMissing(t *testing.T) {
	for _, v := range pgtest.All(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, v)
			a, err := Look(t.Context(), b.p, b.o)
			require.NoError(t, err)
			b.Lose()
			last := a.Segments[0]
			for _, s := range a.Segments {
				if s.Number > last.Number {
					last = s
				}
			}
			gone := func(n uint64) string {
				name := pitr.Segment{Timeline: last.Timeline, Number: n}.Name(a.SegmentSize)
				b.remove(fmt.Sprintf("pg/%s/wals/%s/%s.gz", b.p.Server, name[:16], name))
				return name
			}
			// The last one goes while it is recovered: the log seems to end before it, and it is told.
			o := b.o
			o.Began = func(what string) {
				if strings.HasPrefix(what, "replay") {
					gone(last.Number)
				}
			}
			_, err = Recover(t.Context(), b.p, pitr.Target{}, o)
			var short *ShortError
			require.ErrorAs(t, err, &short)
			t.Log(err)
			require.DirExists(t, filepath.Join(b.Data, mark))
			// One that is missing before others: all of the log cannot be had, and what can is told.
			missing := gone(last.Number - 2)
			other := b.p
			other.Cluster.DataDir = filepath.Join(b.Dir, "other")
			_, err = Recover(t.Context(), other, pitr.Target{}, b.o)
			var outside *pitr.OutsideError
			require.ErrorAs(t, err, &outside)
			require.Contains(t, outside.Hint(), missing)
			require.NoDirExists(t, other.Cluster.DataDir)
		})
	}
}
