//go:build e2e

package pitr_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/preseed"
)

// untouched says that the dataset is the one that it was, empty, and that nothing was left.
func untouched(t *testing.T, guid string) {
	t.Helper()
	require.Equal(t, guid, property(t, name, "guid"))
	found, err := os.ReadDir(top)
	require.NoError(t, err)
	require.Empty(t, found)
	list, _ := try("zfs", "list", "-H", "-o", "name", "-r", "tank/stateward-staging")
	require.NotContains(t, list, "staging/postgresql")
}

// refuses says that the service does not start, for that reason.
func refuses(t *testing.T, want preseed.Outcome, why string) {
	t.Helper()
	out, err := try("systemctl", "start", server)
	require.Error(t, err, out)
	got, _ := try("systemctl", "is-active", server)
	require.Equal(t, "inactive", got)
	r := record(t)
	require.Equal(t, want, r.Outcome, r.Why)
	require.Contains(t, r.Why, why)
}

// base tells what is read of a base backup.
func base(path string) bool {
	return strings.Contains(path, "/base/") && strings.Contains(path, "data.tar")
}

// lost ends the server as a crash does.
func lost(t *testing.T) {
	t.Helper()
	must(t, "systemctl", "kill", "-s", "KILL", server)
	try("systemctl", "stop", server, "stateward-preseed-postgresql.service")
	must(t, "systemctl", "reset-failed", server)
}

// The cluster on a dataset comes back by itself from its archive, whole, or not at all.
func TestE7G1G4ClusterOnADataset(t *testing.T) {
	s := machine(t)
	began := time.Now()
	step := func(name string, f func(t *testing.T)) {
		if !t.Run(name, f) {
			journal, _ := try("journalctl", "-q", "--no-pager", "-n", "60", "-o", "cat")
			t.Log(journal)
			t.FailNow()
		}
		t.Logf("%s: %.1f s", name, time.Since(began).Seconds())
		began = time.Now()
	}
	good := policy(t, "/srv/policy.json", "main")
	none := policy(t, "/srv/none.json", "nobody")

	step("a cluster that is archived", func(t *testing.T) {
		empty(t)
		own(t, top)
		postgres(t, bin+"/initdb", "-D", data, "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8", "--wal-segsize=1")
		f, err := os.OpenFile(data+"/postgresql.conf", os.O_APPEND|os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = f.WriteString(`
wal_level = replica
archive_mode = on
archive_command = 'barman-cloud-wal-archive --gzip --endpoint-url=http://` + endpoint + ` s3://bucket/pg main "%p"'
listen_addresses = ''
unix_socket_directories = '/srv/socket'
jit = off
archive_timeout = 300
`)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		must(t, "systemctl", "daemon-reload")
		must(t, "systemctl", "start", server)
		sql(t, "create table rows as select generate_series(1, 1000) as n")
		archive(t)
		must(t, "env", "PATH="+searched, "/mnt/bin/stateward", "pitr", "backup", good)
		// Rows that are in the log alone, in three segments of it.
		for i := 1; i <= 3; i++ {
			sql(t, fmt.Sprintf("insert into rows select generate_series(%d, %d); select pg_switch_wal()", i*1000+1, i*1000+1000))
		}
		archive(t)
	})

	step("the units that are planned", func(t *testing.T) {
		p := units(t)
		for _, job := range p.Jobs() {
			began := time.Now()
			out, err := try("systemctl", "start", p.UnitName(job)+".service")
			said, _ := try("journalctl", "-q", "--no-pager", "-o", "cat", "-u", p.UnitName(job)+".service")
			require.NoError(t, err, "%s\n%s", out, said)
			t.Logf("%s: %.1f s", job, time.Since(began).Seconds())
		}
		out := must(t, "env", "PATH="+searched, "/mnt/bin/stateward", "pitr", "status", p.PlanFile())
		t.Log(out)
		text, err := os.ReadFile(must(t, "sh", "-c", "ls -d /var/lib/stateward/drill/*/newest.json"))
		require.NoError(t, err)
		require.Contains(t, string(text), `"passed"`)
		require.Equal(t, "postgres 700", must(t, "stat", "-c", "%U %a", "/var/lib/stateward/pitr/postgresql"))
		require.Equal(t, "755", must(t, "stat", "-c", "%a", "/var/lib/stateward"))
		// While the server is down no timer starts it, or removes anything of its archive.
		must(t, "systemctl", "stop", server)
		s.mu.Lock()
		asked := s.asked
		s.mu.Unlock()
		for _, job := range []string{"backup", "retain", "check"} {
			out, err := try("systemctl", "start", p.UnitName(job)+".service")
			require.Error(t, err, out)
		}
		got, _ := try("systemctl", "is-active", server)
		require.Equal(t, "inactive", got)
		s.mu.Lock()
		require.Equal(t, asked, s.asked)
		s.mu.Unlock()
		must(t, "systemctl", "start", server)
	})

	step("nobody touches one that lives", func(t *testing.T) {
		plan(t, good, "20s")
		guid, pid := property(t, name, "guid"), must(t, "systemctl", "show", "-p", "MainPID", server)
		s.mu.Lock()
		asked := s.asked
		s.mu.Unlock()
		cmd, said := running(t, "/srv/plan.json", "--from", "pitr", "--yes-destroy", name)
		require.Error(t, cmd.Wait(), said)
		cmd, said = running(t, "/srv/plan.json")
		require.NoError(t, cmd.Wait(), said)
		require.Equal(t, preseed.AlreadySeeded, record(t).Outcome)
		s.mu.Lock()
		require.Equal(t, asked, s.asked, "the store was asked")
		s.mu.Unlock()
		require.Equal(t, guid, property(t, name, "guid"))
		require.Equal(t, pid, must(t, "systemctl", "show", "-p", "MainPID", server))
		require.Equal(t, "4000", sql(t, "select count(distinct n) from rows"))
	})

	var guid string
	step("a store that is away", func(t *testing.T) {
		lost(t)
		guid = empty(t)
		plan(t, good, "3s")
		s.down()
		refuses(t, preseed.Unreachable, "Could not connect")
		untouched(t, guid)
		s.up(t)
	})

	step("an archive with nothing in it", func(t *testing.T) {
		plan(t, none, "3s")
		refuses(t, preseed.ConfirmedNoBackup, "every source was asked")
		untouched(t, guid)
	})

	step("killed in the base backup", func(t *testing.T) {
		plan(t, good, "3min")
		killed(t, s, base)
		require.Equal(t, guid, property(t, name, "guid"))
	})

	step("killed in the log", func(t *testing.T) {
		restored, segments := false, 0
		killed(t, s, func(path string) bool {
			restored = restored || base(path)
			if restored && strings.Contains(path, "/wals/") {
				segments++
			}
			return segments == 2
		})
		require.Equal(t, guid, property(t, name, "guid"))
	})

	step("killed before the exchange", func(t *testing.T) {
		write(t, "/srv/armed", "", 0o644)
		must(t, "systemctl", "start", "--no-block", server)
		for {
			if _, err := os.Stat("/srv/reached"); err == nil {
				break
			}
			time.Sleep(time.Second)
			if state, _ := try("systemctl", "is-active", "stateward-preseed-postgresql.service"); state == "failed" {
				t.Fatalf("%+v", record(t))
			}
		}
		must(t, "systemctl", "kill", "--kill-whom=main", "-s", "KILL", "stateward-preseed-postgresql.service")
		require.NoError(t, os.Remove("/srv/armed"))
		require.Eventually(t, func() bool {
			out, _ := try("systemctl", "is-active", "stateward-preseed-postgresql.service")
			return out == "failed"
		}, time.Minute, 50*time.Millisecond)
		out, _ := try("systemctl", "is-active", server)
		require.Equal(t, "inactive", out)
		require.Equal(t, guid, property(t, name, "guid"))
	})

	step("it comes back", func(t *testing.T) {
		// It was whole before the exchange: nothing is asked of the store any more.
		s.down()
		must(t, "systemctl", "start", server)
		s.up(t)
		require.Equal(t, preseed.Restored, record(t).Outcome)
		require.Equal(t, "4000 4000", sql(t, "select count(*) || ' ' || count(distinct n) from rows"))
		require.NotEqual(t, guid, property(t, name, "guid"))
		require.Equal(t, guid, property(t, "tank/stateward-staging/postgresql-was", "guid"))
		for p, want := range map[string]string{"mountpoint": top, "canmount": "on", "recordsize": "8192", "mine:note": "kept", "stateward:preseed-staging": "-", "mounted": "yes"} {
			require.Equal(t, want, property(t, name, p), p)
		}
		// G: the marker is the dataset's, and nothing of ours is in what PostgreSQL has.
		require.Equal(t, "local", must(t, "zfs", "get", "-H", "-o", "source", "stateward:preseed", name))
		require.True(t, strings.HasPrefix(property(t, name, "stateward:preseed"), property(t, name, "guid")+" "))
		left, err := filepath.Glob(data + "/.*")
		require.NoError(t, err)
		require.Empty(t, left)
		found, err := os.ReadDir(top)
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.Equal(t, "postgres postgres 700", must(t, "stat", "-c", "%U %G %a", data))
		require.Equal(t, "postgres postgres 750", must(t, "stat", "-c", "%U %G %a", top))
		mounts, err := os.ReadFile("/proc/self/mounts")
		require.NoError(t, err)
		require.NotContains(t, string(mounts), "/run/stateward")
	})

	step("and is archived to a place of its own (G4)", func(t *testing.T) {
		require.Contains(t, sql(t, "show archive_command"), "main-t2")
		sql(t, "insert into rows values (4001)")
		archive(t)
		// Lost again, what the old name has is older: it is not taken.
		lost(t)
		guid := empty(t)
		refuses(t, preseed.Refused, "main-t2")
		require.Equal(t, guid, property(t, name, "guid"))
		found, err := os.ReadDir(top)
		require.NoError(t, err)
		require.Empty(t, found)
	})

	step("no secret is in what was said", func(t *testing.T) {
		records, err := filepath.Glob(state + "/postgresql/*")
		require.NoError(t, err)
		require.NotEmpty(t, records)
		for _, file := range records {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			require.NotContains(t, string(text), secret)
		}
		journal := must(t, "journalctl", "-q", "--no-pager", "-o", "export")
		require.Contains(t, journal, "PostgreSQL")
		require.NotContains(t, journal, secret)
	})
}
