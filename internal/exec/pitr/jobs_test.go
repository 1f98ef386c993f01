//go:build unix

package pitr

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/pgtest"
)

func messages(run *Run) (out []string) {
	for _, f := range run.Check.Faults {
		out = append(out, f.Message)
	}
	return out
}

// G4: the socket is of one server, and the data directory of another; before the first base backup only the server tells how large its segments are.
func TestG4CheckOfTwoServers(t *testing.T) {
	t.Parallel()
	v := pgtest.All(t)[0]
	c := pgtest.New(t, v, pgtest.NewS3(t))
	c.SQL("create table rows (n int, at timestamptz default clock_timestamp())")
	c.Archive()
	c.Insert(1)
	p := pitr.Policy{Cluster: pitr.Cluster{DataDir: c.Data, User: "postgres", Socket: c.Socket, BinDir: v.Bin}, Destination: c.Destination, Server: c.Server, Endpoint: c.S3.URL, EnvironmentFile: c.EnvironmentFile}
	o := Options{Env: c.Env[:4], Now: time.Now, Said: func(string) {}, Began: func(string) {}, StateDir: t.TempDir()}
	run, err := Check(t.Context(), p, o)
	require.NoError(t, err)
	require.True(t, run.Check.Live.WaitingKnown)
	require.False(t, run.Check.Live.Waiting.IsZero(), "the row is committed, and in no archive")

	p.Cluster.DataDir = t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(p.Cluster.DataDir, "pg_wal"), 0o700))
	segment := c.SQL("select pg_walfile_name(pg_current_wal_lsn())")
	page, err := os.ReadFile(filepath.Join(c.Data, "pg_wal", segment))
	require.NoError(t, err)
	page[24] ^= 1 // xlp_sysid
	require.NoError(t, os.WriteFile(filepath.Join(p.Cluster.DataDir, "pg_wal", segment), page, 0o600))
	run, err = Check(t.Context(), p, o)
	require.NoError(t, err)
	require.Contains(t, messages(run), "the log in "+p.Cluster.DataDir+" is of another cluster than the server that answers")
	require.False(t, run.Check.Live.WaitingKnown)

	// What is not installed says nothing of the server.
	p.Cluster.BinDir = "/nonexistent"
	_, err = Check(t.Context(), p, o)
	require.ErrorContains(t, err, "/nonexistent/psql")
	require.NotContains(t, err.Error(), "the server does not answer")
}

// G4 G5 G7: base backups, retention and checks of a real server, and what goes wrong with them.
func TestG4G5Jobs(t *testing.T) {
	for _, v := range pgtest.All(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			c := pgtest.NewArchived(t, v).Cluster
			d := newDoor(t, c.S3.URL)
			var said strings.Builder
			say := func(l string) { said.WriteString(l + "\n"); t.Log(time.Now().Format("15:04:05"), l) }
			o := Options{Env: c.Env[:4], Now: time.Now, Said: say, Began: say, StateDir: filepath.Join(c.Dir, "state")}
			p := pitr.Policy{
				Cluster:     pitr.Cluster{Name: "postgresql", DataDir: c.Data, User: "postgres", Socket: c.Socket, BinDir: v.Bin},
				Destination: c.Destination, Server: c.Server, Endpoint: d.URL, EnvironmentFile: c.EnvironmentFile,
				Window: pitr.Span(time.Hour), Redundancy: 2, Schedule: []string{"*-*-* *:00:00"}, MetricsDir: c.Dir, ArchiveTimeout: pitr.Span(5 * time.Minute),
			}
			set := func(statements ...string) {
				t.Helper()
				for _, s := range append(statements, "select pg_reload_conf()") {
					c.SQL(s)
				}
				time.Sleep(200 * time.Millisecond)
			}
			failed := func(name string, err error, as any, texts ...string) {
				t.Helper()
				require.Error(t, err, name)
				say(name + ": " + err.Error())
				require.ErrorAs(t, err, as, name)
				for _, text := range texts {
					require.Contains(t, err.Error(), text, name)
				}
				hint, ok := findHint(err)
				require.True(t, ok, name)
				say("  hint: " + hint)
			}
			// Nothing is there yet, and a new cluster may archive there; this one archives elsewhere.
			fresh := p
			fresh.Server = "fresh"
			run, err := Check(t.Context(), fresh, o)
			require.NoError(t, err)
			require.Equal(t, Faults, run.Outcome)
			found := strings.Join(messages(run), "\n")
			require.Contains(t, found, "nothing is archived below fresh in s3://bucket/pg")
			require.Contains(t, found, "archive_timeout is 0: what an idle server committed stays on its one disk")
			require.Contains(t, found, "the server archives to main in s3://bucket/pg, and the policy names fresh in s3://bucket/pg")
			require.Contains(t, strings.Join(run.Check.Notes, "\n"), "a new cluster may archive to fresh")
			// Many transactions that come to nothing do not hide the one that was committed after them.
			c.SQL("do $$ begin for i in 1..300 loop begin create temp table x (); raise division_by_zero; exception when division_by_zero then null; end; end loop; end $$")
			c.Insert(7)
			run, err = Check(t.Context(), p, o)
			require.NoError(t, err)
			require.False(t, run.Check.Live.Waiting.IsZero(), "the row is committed, and in no archive")
			first := run.Check.Newest

			set("alter system set archive_timeout = '5min'")

			// A run that is killed is told by the next, which goes on.
			text, err := json.Marshal(asked{Policy: p, Env: o.Env, Backup: "yes", StateDir: o.StateDir})
			require.NoError(t, err)
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "STATEWARD_TEST_RECOVER="+string(text))
			require.NoError(t, cmd.Start())
			d.set(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet || !strings.Contains(r.URL.Path, "/base/") {
					return false
				}
				_ = cmd.Process.Kill()
				hangUp(w)
				return true
			})
			require.EqualError(t, cmd.Wait(), "signal: killed")
			d.set(nil)
			c.SQL("checkpoint") // it is spread over minutes else
			run, err = Backup(t.Context(), p, o)
			require.NoError(t, err)
			require.Equal(t, Complete, run.Outcome)
			require.Contains(t, strings.Join(run.Notes, "\n"), "did not come to its end")
			ids := []string{first, run.Backup.ID}
			between := map[string]time.Time{ids[1]: time.Now()}
			recs, err := Status(p, o)
			require.NoError(t, err)
			require.Nil(t, recs[0].Running)
			require.Equal(t, ids[1], recs[0].LastRun.Backup.ID)
			require.NotNil(t, recs[0].LastComplete)
			metrics, err := os.ReadFile(filepath.Join(c.Dir, "stateward_pitr_postgresql_backup.prom"))
			require.NoError(t, err)
			require.Contains(t, string(metrics), `stateward_pitr_backup_outcome{name="postgresql",outcome="complete"} 1`)

			// One more, with log between them.
			c.Insert(8)
			c.Archive()
			c.SQL("checkpoint")
			time.Sleep(1100 * time.Millisecond) // what barman-cloud calls them is a second
			run, err = Backup(t.Context(), p, o)
			require.NoError(t, err)
			require.Empty(t, run.Notes)
			ids = append(ids, run.Backup.ID)
			between[ids[2]] = time.Now()
			c.Insert(9)
			c.Archive()
			run, err = Check(t.Context(), p, o)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff([]pitr.Fault{}, append([]pitr.Fault{}, run.Check.Faults...)))
			require.Equal(t, Complete, run.Outcome)
			require.Equal(t, 3, run.Check.Usable)
			require.True(t, run.Check.Live.WaitingKnown)
			require.True(t, run.Check.Live.Waiting.IsZero())

			// What goes is named before, and is what the tool itself would remove.
			a, err := Look(t.Context(), p, o)
			require.NoError(t, err)
			now := time.Now()
			at := o
			at.Now = func() time.Time { return now }
			p.Window = pitr.Span(now.Sub(between[ids[1]]))
			run, err = Retain(t.Context(), p, at, false)
			require.NoError(t, err)
			require.Equal(t, ids[:1], run.Retention.Removed())
			same, err := Look(t.Context(), p, o)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(a, same), "nothing is changed without --yes")
			quick := o
			quick.Patience = 1500 * time.Millisecond
			r, err := newRunner(t.Context(), p, quick)
			require.NoError(t, err)
			b, err := r.bucket()
			require.NoError(t, err)
			objects, err := b.list(t.Context())
			require.NoError(t, err)
			printed := c.Run("barman-cloud-backup-delete", "--endpoint-url", c.S3.URL, "--retention-policy", "REDUNDANCY 2", "--dry-run", c.Destination, c.Server)
			theirs, err := wouldRemove(printed, objects)
			require.NoError(t, err)
			var named []string
			for _, s := range run.Retention.Segments {
				named = append(named, s.First, s.Last)
			}
			for _, k := range theirs {
				f, err := pitr.ParseFile(filepath.Base(k), a.SegmentSize)
				if strings.Contains(k, "/wals/") && (err != nil || !run.Retention.Goes(f.Segment)) {
					t.Errorf("barman-cloud would remove %s, and it was not named: %s", k, named)
				}
			}
			require.True(t, slices.ContainsFunc(theirs, func(k string) bool { return strings.Contains(k, ids[0]+"/backup.info") }))
			require.False(t, slices.ContainsFunc(theirs, func(k string) bool { return strings.Contains(k, ids[1]) }))

			// It goes, and a second time nothing does.
			run, err = Retain(t.Context(), p, at, true)
			require.NoError(t, err)
			require.Equal(t, ids[:1], run.Removed)
			require.Positive(t, run.Segments)
			after, err := Look(t.Context(), p, o)
			require.NoError(t, err)
			require.Len(t, after.Backups, 2)
			require.Len(t, after.Segments, len(a.Segments)-run.Segments)
			for _, s := range a.Segments {
				require.Equal(t, run.Retention.Goes(s.Segment), !slices.Contains(after.Segments, s), s.Name(a.SegmentSize))
			}
			run, err = Retain(t.Context(), p, at, true)
			require.NoError(t, err)
			require.Empty(t, run.Removed)

			// However short the window, what the present is recovered from stays.
			p.Redundancy = 0
			p.Window = pitr.Span(now.Sub(between[ids[2]]))
			run, err = Retain(t.Context(), p, at, true)
			require.NoError(t, err)
			require.Equal(t, ids[1:2], run.Removed)
			p.Window = pitr.Span(time.Hour)
			last, err := Look(t.Context(), p, o)
			require.NoError(t, err)
			_, err = pitr.NewRecovery(last, pitr.Target{}, p)
			require.NoError(t, err)

			// A wrong key, a wrong server name, and a server that archives elsewhere.
			wrong := p
			wrong.EnvironmentFile = filepath.Join(c.Dir, "wrong")
			require.NoError(t, os.WriteFile(wrong.EnvironmentFile, []byte("AWS_MAX_ATTEMPTS=1\nAWS_ACCESS_KEY_ID=forge\nAWS_SECRET_ACCESS_KEY=x"+pgtest.Secret+"\n"), 0o600))
			var tool *ToolError
			_, err = Backup(t.Context(), wrong, o)
			failed("wrong key", err, &tool, "(403)")
			wrong.EnvironmentFile = filepath.Join(c.Dir, "missing")
			var environment *EnvironmentError
			_, err = Check(t.Context(), wrong, o)
			failed("no file with the key", err, &environment, "no such file")
			wrong = p
			wrong.Server = "mian"
			var fault *pitr.FaultError
			_, err = Backup(t.Context(), wrong, o)
			failed("wrong server name", err, &fault, "the server archives to main in s3://bucket/pg, and the policy names mian in s3://bucket/pg")
			was := c.SQL("show archive_command")
			set("alter system set archive_command = '" + strings.Replace(was, " main ", " main-t2 ", 1) + "'")
			_, err = Backup(t.Context(), p, o)
			failed("archived elsewhere", err, &fault, "the server archives to main-t2", "and the policy names main")

			// An archiver that fails, and one that stores nothing.
			set("alter system set archive_command = 'echo %p >/dev/null && false'")
			c.Insert(10)
			c.SQL("select pg_switch_wal()")
			require.Eventually(t, func() bool { return c.SQL("select failed_count > 0 from pg_stat_archiver") == "t" }, 20*time.Second, 100*time.Millisecond)
			later := o
			later.Now = func() time.Time { return time.Now().Add(8 * time.Minute) }
			run, err = Check(t.Context(), p, later)
			require.NoError(t, err)
			require.Equal(t, Faults, run.Outcome)
			found = strings.Join(messages(run), "\n")
			say(found)
			require.Contains(t, found, "the server cannot archive ")
			require.Contains(t, found, "is not archived, and archive_timeout is 5min")
			_, err = Backup(t.Context(), p, o)
			failed("the archiver fails", err, &fault, "the server cannot archive ")
			set("alter system set archive_command = 'true'")
			_, err = Backup(t.Context(), p, o)
			failed("G5", err, &fault, "archive_command stores nothing and succeeds")
			// What the server says that it archived is gone: pg_wal still has it, and so it is stored again by nobody. It is told.
			set("alter system reset archive_command")

			// A store that hangs: each command ends, and says why.
			o.Patience = 1500 * time.Millisecond
			require.NoError(t, c.S3.Pause())
			var silent *SilentError
			for name, do := range map[string]func() error{
				"window": func() error { _, err := Look(t.Context(), p, o); return err },
				"check":  func() error { _, err := Check(t.Context(), p, o); return err },
				"backup": func() error { _, err := Backup(t.Context(), p, o); return err },
				"retain": func() error { _, err := Retain(t.Context(), p, o, true); return err },
			} {
				began := time.Now()
				failed("hangs in "+name, do(), &silent, "did not answer for 1.5s")
				require.Less(t, time.Since(began), 30*time.Second, name)
			}
			// One that brings or stores the cluster is ended as soon as the store answers nobody.
			watched, stop := r.watched(t.Context())
			t.Cleanup(stop)
			select {
			case <-watched.Done():
				require.ErrorAs(t, context.Cause(watched), &silent)
			case <-time.After(20 * time.Second):
				t.Error("nobody sees that the store is silent")
			}
			require.NoError(t, c.S3.Resume())
			watched, stop = r.watched(t.Context())
			time.Sleep(3 * time.Second)
			require.NoError(t, watched.Err())
			stop()

			// A server that is stopped.
			c.Stop(c.Data)
			var live *LiveError
			_, err = Check(t.Context(), p, o)
			failed("stopped server", err, &live, "the server does not answer")
			require.NotContains(t, said.String(), pgtest.Secret)
			require.Empty(t, d.leak)
			nowhere(t, o.StateDir, said.String())
		})
	}
}
