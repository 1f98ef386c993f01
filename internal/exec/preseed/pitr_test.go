//go:build unix

package preseed

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/pgtest"
	"github.com/stateward/stateward/preseed"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// E7, G1, G4: what an archive of PostgreSQL has, and that all of it comes back, to a place below the mountpoint, with nothing beside it.
func TestE7WhatAnArchiveHas(t *testing.T) {
	// Its tools are asked the same of each version: internal/exec/pitr recovers with all of them.
	v := pgtest.All(t)[0]
	t.Parallel()
	c := pgtest.NewArchived(t, v)
	at := func(name string) string { return filepath.Join(c.Dir, name) }
	p := pitr.Policy{Cluster: pitr.Cluster{Name: "postgresql", DataDir: "/var/lib/postgresql/17/main", User: "postgres", BinDir: v.Bin},
		Destination: c.Destination, Server: c.Server, Endpoint: c.S3.URL, EnvironmentFile: c.EnvironmentFile}
	s := preseed.Source{Kind: preseed.PITR, Policy: at("policy.json")}
	r := &runner{plan: preseed.Plan{Name: "postgresql", Mountpoint: "/var/lib/postgresql", Sources: []preseed.Source{s}}, o: Options{Env: c.Env[:4], Now: time.Now, RunDir: at("run/preseed")},
		answers: map[preseed.SourceKind]preseed.Answer{}, skip: map[string]bool{}}
	expect := func(p pitr.Policy, want preseed.AnswerKind, reason string) preseed.Answer {
		t.Helper()
		text, err := json.Marshal(p)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(s.Policy, text, 0o600))
		a := r.ask(t.Context(), preseed.PITR)
		require.Equal(t, want, a.Kind, a.Reason)
		require.Contains(t, a.Reason, reason)
		require.NotContains(t, a.Reason, pgtest.Secret)
		require.NoDirExists(t, r.aside())
		return a
	}
	change := func(do func(*pitr.Policy)) pitr.Policy {
		q := p
		do(&q)
		return q
	}

	// It has nothing only where its store says so.
	expect(change(func(q *pitr.Policy) { q.Server = "never" }), preseed.ConfirmedNone, "")
	expect(change(func(q *pitr.Policy) { q.Server = "never-t2" }), preseed.SourceRefused, "lies below another, such as never")
	require.NoError(t, os.WriteFile(at("wrong"), []byte("AWS_MAX_ATTEMPTS=1\nAWS_ACCESS_KEY_ID=forge\nAWS_SECRET_ACCESS_KEY=x"+pgtest.Secret+"\n"), 0o600))
	expect(change(func(q *pitr.Policy) { q.Endpoint, q.EnvironmentFile = "http://127.0.0.1:1", at("wrong") }), preseed.SourceUnreachable, "")
	expect(change(func(q *pitr.Policy) { q.EnvironmentFile = at("wrong") }), preseed.SourceUnreachable, "(403)")
	expect(change(func(q *pitr.Policy) { q.EnvironmentFile = at("none") }), preseed.SourceUnreachable, "no such file")
	expect(change(func(q *pitr.Policy) { q.Cluster.DataDir = "/srv/pg" }), preseed.SourceRefused, "does not lie below /var/lib/postgresql")
	expect(change(func(q *pitr.Policy) { q.Cluster.WALDir = "/wal" }), preseed.SourceRefused, "has its log in /wal")

	// Its time is that of the last commit, to which the policy's maxAge is compared.
	last, err := time.Parse("2006-01-02 15:04:05.999999", c.SQL("select max(at) at time zone 'UTC' from rows"))
	require.NoError(t, err)
	a := expect(p, preseed.Available, "")
	require.WithinDuration(t, last, a.Candidate.Time, 2*time.Second)
	require.Contains(t, a.Candidate.ID, toEnd)
	r.plan.MaxAge = "1h"
	r.o.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	expect(p, preseed.SourceRefused, "with the log after it, its newest, is of")
	r.plan.MaxAge, r.o.Now = "", time.Now
	r.o.From, r.o.At = preseed.PITR, c.Moment
	require.Equal(t, c.Moment.UTC(), expect(p, preseed.Available, "").Candidate.Time)
	r.o.From, r.o.At = "", time.Time{}

	c.Lose()
	top := at("staged")
	require.NoError(t, os.Mkdir(top, 0o700))
	require.NoError(t, r.recoverInto(t.Context(), p, pitr.Target{}, top))
	for dir, want := range map[string]string{top: "17", filepath.Join(top, "17"): "main"} {
		found, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, found, 1, dir)
		require.Equal(t, want, found[0].Name())
	}
	data := filepath.Join(top, "17/main")
	info, err := os.Stat(data)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	left, err := filepath.Glob(filepath.Join(data, ".*"))
	require.NoError(t, err)
	require.Empty(t, left)
	c.Start(data)
	t.Cleanup(func() { c.Stop(data) })
	require.Equal(t, "1 2 3 4 5 6", c.SQL("select string_agg(n::text, ' ' order by n) from rows"))
	// It archives to a place of its own. Lost once more, what is there is newer than what the policy names: nobody takes the older for it.
	c.Insert(7)
	c.Archive()
	expect(p, preseed.SourceRefused, "cannot archive to main-t2: something lies there already")
}
