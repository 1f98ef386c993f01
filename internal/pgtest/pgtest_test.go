//go:build unix

package pgtest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { Main(m) }

// What tests are given is real: rows, a base backup, and a log that arrives.
func TestACluster(t *testing.T) {
	t.Parallel()
	v := All(t)[0]
	v.SegmentMiB = 16 // what is usual
	c := New(t, v, NewS3(t))
	c.SQL("create table rows (n int)")
	c.Insert(1)
	c.Archive()
	c.BaseBackup()
	c.Archive()
	require.Contains(t, c.Run("barman-cloud-backup-list", "--format", "json", "--endpoint-url", c.S3.URL, c.Destination, c.Server), `"status": "DONE"`)
	require.Equal(t, "1", c.SQL("select count(*) from rows"))
}

// What tests are given as a copy is as real: the base backup is restored from, the log replayed, and each copy goes on by itself.
func TestCopies(t *testing.T) {
	for _, v := range All(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			a, b := NewArchived(t, v), NewArchived(t, v)
			list := func(c *Archived) string {
				return c.Run("barman-cloud-backup-list", "--format", "json", "--endpoint-url", c.S3.URL, c.Destination, c.Server)
			}
			before := list(b)
			require.Contains(t, before, `"status": "DONE"`)
			a.Insert(7)
			a.Archive()
			a.BaseBackup()
			require.NotEqual(t, before, list(a))
			require.Equal(t, before, list(b))
			b.Insert(8)
			require.Equal(t, "1 2 3 4 5 6 7", a.SQL("select string_agg(n::text, ' ' order by n) from rows"))
			require.Equal(t, "1 2 3 4 5 6 8", b.SQL("select string_agg(n::text, ' ' order by n) from rows"))
			require.Equal(t, "4", b.SQL("select max(n) from rows where at < '"+b.Moment.UTC().Format(time.RFC3339Nano)+"'"))
		})
	}
}
