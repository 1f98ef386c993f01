//go:build unix

package pgtest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { Main(m) }

// What tests are given is real: rows, a base backup, and a log that arrives.
func TestACluster(t *testing.T) {
	v := All(t)[0]
	c := New(t, v, NewS3(t))
	c.SQL("create table rows (n int)")
	c.Insert(1)
	c.BaseBackup()
	c.Archive()
	require.Contains(t, c.Run("barman-cloud-backup-list", "--format", "json", "--endpoint-url", c.S3.URL, c.Destination, c.Server), `"status": "DONE"`)
	require.Equal(t, "1", c.SQL("select count(*) from rows"))
}
