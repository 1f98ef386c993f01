//go:build unix

package pitr

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/pgtest"
)

// G7, G3: with the settings that are planned of a policy, as their file is written, a real server archives by the real tool below the server's name, and a
// segment that is not full after archive_timeout. The installed tools know every option that is used.
func TestG7PlannedSettingsArchive(t *testing.T) {
	for _, v := range pgtest.All(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			c := pgtest.New(t, v, pgtest.NewS3(t))
			flags, err := AskTools(t.Context(), v.Barman, c.Env)
			require.NoError(t, err)
			p := pitr.Policy{Cluster: pitr.Cluster{Name: "postgresql", DataDir: c.Data, User: "postgres"}, Destination: c.Destination, Server: "it's planned", Endpoint: c.S3.URL,
				EnvironmentFile: c.EnvironmentFile, Compression: "gzip", ArchiveTimeout: pitr.Span(time.Second)}
			settings, err := p.Settings(pitr.Tools{Dir: v.Barman, Flags: flags})
			require.NoError(t, err)
			text, err := pitr.WriteSettings(settings)
			require.NoError(t, err)
			file := filepath.Join(c.Dir, "pitr.conf")
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			c.Configure(c.Data, "include '"+file+"'")
			require.Equal(t, "t", c.SQL("select pg_reload_conf()"))
			require.Eventually(t, func() bool { return c.SQL("show archive_command") == settings[1].Value }, 10*time.Second, 50*time.Millisecond)
			require.True(t, p.ArchivesBy(c.SQL("show archive_command")))
			c.SQL("create table rows (n int); insert into rows values (1)")
			require.Eventually(t, func() bool {
				return c.SQL("select archived_count > 0 and failed_count = 0 from pg_stat_archiver") == "t"
			}, time.Minute, 100*time.Millisecond, "nothing is archived")
			b, err := newBucket(p.Destination, p.Server, p.Endpoint, "", func(name string) string {
				for _, e := range c.Env {
					if len(e) > len(name) && e[:len(name)+1] == name+"=" {
						return e[len(name)+1:]
					}
				}
				return ""
			})
			require.NoError(t, err)
			objects, err := b.list(t.Context())
			require.NoError(t, err)
			require.NotEmpty(t, objects)
			require.Contains(t, objects[0].Key, "pg/it's planned/wals/")
			require.Regexp(t, `\.gz$`, objects[0].Key)
		})
	}
}
