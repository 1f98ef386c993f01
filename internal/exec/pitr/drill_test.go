//go:build unix

package pitr

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup/drill"
	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/pgtest"
)

// drillAsked is a drill that runs in a process of its own, and is killed where it begins a step.
type drillAsked struct {
	Policy                        pitr.Policy
	Env                           []string
	Kill                          string
	Dir, LockDir, Scratch, Target string
}

func drillHere(text string) int {
	var a drillAsked
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		panic(err)
	}
	o := DrillOptions{Options: Options{Env: a.Env, Now: time.Now}, Dir: a.Dir, LockDir: a.LockDir, Scratch: a.Scratch, Host: "forge"}
	o.Began = func(what string) {
		if strings.HasPrefix(what, a.Kill) {
			self, _ := os.FindProcess(os.Getpid())
			_ = self.Kill()
			select {}
		}
	}
	_, _, err := Drill(context.Background(), a.Policy, pitr.Target{}, o)
	fmt.Println(err)
	return 1
}

// archive is all that lies in the store, with when it was stored.
func (b *bench) archive() []object {
	b.t.Helper()
	s, err := newBucket(b.p.Destination, "", b.S3.URL, "", func(name string) string {
		return map[string]string{"AWS_ACCESS_KEY_ID": "forge", "AWS_SECRET_ACCESS_KEY": pgtest.Secret}[name]
	})
	require.NoError(b.t, err)
	all, err := s.list(b.t.Context())
	require.NoError(b.t, err)
	require.NotEmpty(b.t, all)
	return all
}

func TestDrill(t *testing.T) {
	for _, v := range pgtest.All(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, v)
			scratch, records := filepath.Join(b.Dir, "scratch"), filepath.Join(b.Dir, "drills")
			var said strings.Builder
			b.o.Said = func(l string) { said.WriteString(l + "\n"); t.Log(l) }
			b.o.Began = b.o.Said
			o := DrillOptions{Options: b.o, Dir: records, LockDir: filepath.Join(b.Dir, "lock"), Scratch: scratch, Host: "forge"}
			state := func() string {
				return b.SQL("select timeline_id from pg_control_checkpoint()") + " " + b.SQL("select pg_postmaster_start_time(), last_archived_wal, (select count(*) from quick) from pg_stat_archiver")
			}
			clean := func() {
				t.Helper()
				left, err := os.ReadDir(scratch)
				require.NoError(t, err)
				require.Empty(t, left)
				require.NoFileExists(t, filepath.Join(records, "pitr-postgresql.scratch.json"))
			}
			// What a drill has against it: a tablespace, whose place the living cluster has, and settings that no server starts with, or that reach out.
			fast := filepath.Join(b.Dir, "fast")
			require.NoError(t, os.Mkdir(fast, 0o700))
			b.SQL("create tablespace fast location '" + fast + "'")
			b.SQL("create table quick tablespace fast as select n, repeat('x', 500) as t from generate_series(1, 1000) n")
			b.SQL("create index on quick (n)")
			b.SQL("create table wide as select n, repeat('x', 500) as t from generate_series(1, 5000) n")
			b.SQL("create index on wide (n)")
			b.SQL("vacuum wide")
			require.Contains(t, b.SQL("explain select count(*) from only wide"), "Index Only Scan")
			b.SQL(`create database "odd 'name"`)
			for _, s := range []string{"shared_preload_libraries = 'not_there'", "recovery_end_command = 'touch " + filepath.Join(b.Dir, "reached") + "'", "recovery_target_name = 'never'", "external_pid_file = '" + filepath.Join(b.Dir, "pid") + "'"} {
				b.SQL("alter system set " + s)
			}
			b.SQL(`alter database "odd 'name" set session_preload_libraries = 'not_there'`)
			b.SQL(`alter database "odd 'name" set default_transaction_read_only = on`)
			b.BaseBackup()
			b.Insert(7)
			b.Archive()
			before, was := b.archive(), state()

			rec, file, err := Drill(t.Context(), b.p, pitr.Target{}, o)
			require.NoError(t, err)
			require.FileExists(t, file)
			require.Equal(t, drill.Passed, rec.Verdict)
			var names []string
			for _, c := range rec.Checks {
				names = append(names, c.Name)
				require.Equal(t, drill.Passed, c.Verdict, c.Name)
				require.NotZero(t, c.Checked, c.Name)
			}
			require.Equal(t, []string{"restore", "log", "tables", "amcheck"}, names)
			x := rec.Recovery
			t.Logf("base backup %d bytes in %.1f s, log %d bytes in %.1f s, %d databases, %d tables, RPO %.1f s", x.BaseBytes, x.BaseSeconds, x.LogBytes, x.LogSeconds, x.Databases, x.Tables, x.RPOSeconds)
			require.Equal(t, int64(3), x.Databases)
			require.Equal(t, b.SQL("select to_char(max(at) at time zone 'UTC', 'YYYY-MM-DD HH24:MI') from rows"), x.Reached.Format("2006-01-02 15:04"))
			require.Less(t, x.RPOSeconds, 60.0)
			require.Equal(t, "barman-cloud", rec.Engine.Name)
			require.NotEmpty(t, rec.Engine.Version)
			// Nothing of the living cluster or of its archive changed (G4).
			require.Equal(t, before, b.archive())
			require.Equal(t, was, state())
			require.NoFileExists(t, filepath.Join(b.Dir, "reached"))
			require.NoFileExists(t, filepath.Join(b.Dir, "pid"))
			clean()

			// Outside of the window, on the living data, without room: nothing is made.
			rec, _, err = Drill(t.Context(), b.p, pitr.Target{Time: b.moment.Add(-time.Hour)}, o)
			require.ErrorContains(t, err, "the window is ")
			require.Equal(t, drill.Refused, rec.Verdict)
			inside := o
			inside.Scratch = filepath.Join(b.Data, "drill")
			rec, _, err = Drill(t.Context(), b.p, pitr.Target{}, inside)
			require.ErrorContains(t, err, "the data directory, lie within one another")
			require.Equal(t, drill.Refused, rec.Verdict)
			inside.Scratch = filepath.Join(fast, "drill")
			_, _, err = Drill(t.Context(), b.p, pitr.Target{}, inside)
			require.ErrorContains(t, err, "a tablespace, lie within one another")
			clean()

			// Killed while its server runs: the next one stops that, and removes what was left.
			text, err := json.Marshal(drillAsked{Policy: b.p, Env: b.o.Env, Kill: "read every table", Dir: o.Dir, LockDir: o.LockDir, Scratch: scratch})
			require.NoError(t, err)
			var out bytes.Buffer
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "STATEWARD_TEST_DRILL="+string(text))
			cmd.Stdout, cmd.Stderr = &out, &out
			require.EqualError(t, cmd.Run(), "signal: killed", out.String())
			left, err := filepath.Glob(filepath.Join(scratch, "drill-*"))
			require.NoError(t, err)
			require.Len(t, left, 1)
			// The kernel ends the server with what started it: one that was started otherwise stays.
			require.Eventually(t, func() bool { return len(servers(cluster(left[0]))) == 0 }, 30*time.Second, 50*time.Millisecond)
			require.NoError(t, os.RemoveAll(filepath.Join(cluster(left[0]), "postmaster.pid")))
			b.Configure(cluster(left[0]), "archive_mode = off", "port = 5433")
			b.Start(cluster(left[0]))
			require.NotEmpty(t, servers(cluster(left[0])))
			// A wrong key is a drill that failed, and nothing is left of either.
			wrong := b.p
			wrong.EnvironmentFile = filepath.Join(b.Dir, "wrong")
			require.NoError(t, os.WriteFile(wrong.EnvironmentFile, []byte("AWS_ACCESS_KEY_ID=forge\nAWS_SECRET_ACCESS_KEY=x"+pgtest.Secret+"\n"), 0o600))
			rec, _, err = Drill(t.Context(), wrong, pitr.Target{}, o)
			require.ErrorContains(t, err, "(403)")
			require.Equal(t, drill.Failed, rec.Verdict)
			require.Empty(t, servers(cluster(left[0])))
			clean()
			require.Equal(t, was, state())

			// An index is damaged in what comes back, and a table whose rows can be counted without it: the drill fails, and names both.
			index, table := b.SQL("select pg_relation_filepath('quick_n_idx')"), b.SQL("select pg_relation_filepath('wide')")
			o.Began = func(what string) {
				b.o.Said(what)
				if strings.HasPrefix(what, "replay") {
					all, err := filepath.Glob(filepath.Join(scratch, "drill-*", "data", "pg", index))
					require.NoError(t, err)
					require.Len(t, all, 1)
					f, err := os.OpenFile(all[0], os.O_WRONLY, 0)
					require.NoError(t, err)
					_, err = f.WriteAt([]byte{0xff, 0xff, 0xff, 0x7f}, 2*8192-16-8) // the key of the first item of the first leaf
					require.NoError(t, errors.Join(err, f.Close()))
					f, err = os.OpenFile(filepath.Join(strings.TrimSuffix(all[0], index), table), os.O_WRONLY, 0)
					require.NoError(t, err)
					_, err = f.WriteAt(bytes.Repeat([]byte{0xff}, 24), 100*8192) // the header of a page
					require.NoError(t, errors.Join(err, f.Close()))
				}
			}
			rec, file, err = Drill(t.Context(), b.p, pitr.Target{}, o)
			require.Error(t, err)
			t.Log(err)
			require.Equal(t, drill.Failed, rec.Verdict)
			require.Len(t, rec.Checks, 4)
			require.Equal(t, drill.Check{Name: "tables", Verdict: drill.Failed, Checked: rec.Checks[2].Checked, Message: rec.Checks[2].Message, Files: []string{"postgres.public.wide"}}, rec.Checks[2])
			require.Contains(t, rec.Checks[2].Message, "1 of ")
			require.Equal(t, drill.Check{Name: "amcheck", Verdict: drill.Failed, Checked: 3, Message: rec.Checks[3].Message, Files: rec.Checks[3].Files}, rec.Checks[3])
			require.Contains(t, rec.Checks[3].Files, "postgres.public.quick_n_idx")
			clean()
			read, err := os.ReadFile(file)
			require.NoError(t, err)
			nowhere(t, records, said.String(), string(read))
		})
	}
}
