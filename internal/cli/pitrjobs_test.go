package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/exec/backup"
	execpitr "github.com/stateward/stateward/internal/exec/pitr"
	"github.com/stateward/stateward/internal/golden"
)

// shownArchive has a base backup every five days, and a segment every hour.
func shownArchive() (pitr.Archive, time.Time) {
	begin := time.Date(2026, 2, 1, 2, 0, 0, 0, time.UTC)
	a := pitr.Archive{Server: "forge"}
	number := func(hours int) uint64 { return uint64(16 + hours) }
	hours := 27 * 24
	for h := 0; h <= hours; h++ {
		a.Segments = append(a.Segments, pitr.ArchivedSegment{Segment: pitr.Segment{Timeline: 1, Number: number(h)}, At: begin.Add(time.Duration(h)*time.Hour + 50*time.Minute)})
	}
	for d := 0; d <= 25; d += 5 {
		at := begin.AddDate(0, 0, d)
		b := pitr.BaseBackup{ID: at.Format("20060102T150405"), Begin: at, End: at.Add(4 * time.Minute), Timeline: 1, SystemID: 7575000000000000007, Status: pitr.BackupDone}
		b.BeginLSN = pitr.Segment{Timeline: 1, Number: number(d * 24)}.Start(0) + 40
		b.EndLSN = b.BeginLSN + 240
		if d == 20 {
			b.Status, b.Fault = pitr.BackupFailed, "the store was full"
		}
		a.Backups = append(a.Backups, b)
	}
	return a, begin.Add(time.Duration(hours)*time.Hour + 52*time.Minute)
}

// What docs/pitr.md shows of retain, check and status is what they print.
func TestDocsShowWhatJobsOfPITRPrint(t *testing.T) {
	p, err := readPITRPolicy(repository + "/examples/pitr/postgresql.json")
	require.NoError(t, err)
	a, now := shownArchive()
	printed := map[string]string{}
	show := func(name string, do func(Env)) {
		var out bytes.Buffer
		do(Env{Stdout: &out, Stderr: &out, Now: func() time.Time { return now }})
		printed[name] = out.String()
	}
	r, err := pitr.NewRetention(a, p, now)
	require.NoError(t, err)
	run := execpitr.Run{Job: execpitr.JobRetain, Name: execpitr.Name(p), Server: p.Server, Retention: &r, Notes: r.Notes}
	show("retain", func(env Env) { printPITRRun(env, &run, false) })
	l := pitr.Live{Version: 17, SystemID: 7575000000000000007, Timeline: 1, ArchiveMode: "on", ArchiveTimeout: pitr.Span(5 * time.Minute), WaitingKnown: true,
		ArchiveCommand: "barman-cloud-wal-archive --gzip --endpoint-url https://s3.example.org s3://backup/postgresql forge-t2 %p",
		At:             a.Segments[len(a.Segments)-1].End(0) + 96, Waiting: now.Add(-40 * time.Second)}
	c := pitr.NewCheck(a, l, p, now, stateward.ZoneFunc(time.LoadLocation))
	show("check", func(env Env) { printPITRCheck(env, execpitr.Name(p), c) })

	dir := t.TempDir()
	records := filepath.Join(dir, execpitr.Name(p))
	require.NoError(t, os.Mkdir(records, 0o700))
	write := func(job string, outcome execpitr.Outcome, change func(*execpitr.Run)) {
		last := execpitr.Run{Job: job, Name: execpitr.Name(p), Started: now.Add(-time.Hour), Ended: now.Add(-55 * time.Minute), Outcome: outcome}
		change(&last)
		text, err := json.Marshal(execpitr.Record{ProtocolVersion: "1", Name: execpitr.Name(p), Job: job, LastRun: &last, LastComplete: &last.Started})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(records, execpitr.Name(p)+"."+job+".json"), text, 0o600))
	}
	write(execpitr.JobBackup, execpitr.Complete, func(r *execpitr.Run) { r.Backup = &a.Backups[5] })
	write(execpitr.JobCheck, execpitr.Faults, func(r *execpitr.Run) { r.Check = &c })
	f := pitrJobFlags{stateDir: dir}
	f.output = "text"
	show("status", func(env Env) {
		var s *statusError
		require.ErrorAs(t, f.status(env, repository+"/examples/pitr/postgresql.json"), &s)
		require.Equal(t, StatusFindings, s.status)
	})

	file := filepath.Join(repository, "docs/pitr.md")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)<!-- printed: (\\w+) -->\n```console\n(.*?)```\n")
	require.Len(t, block.FindAll(text, -1), len(printed))
	golden.Compare(t, file, block.ReplaceAllFunc(text, func(b []byte) []byte {
		name := string(block.FindSubmatch(b)[1])
		require.Contains(t, printed, name)
		return []byte("<!-- printed: " + name + " -->\n```console\n$ stateward pitr " + name + " /etc/stateward/pitr/postgresql.json\n" + printed[name] + "```\n")
	}))
}

// A run that was killed, one at work, and a timer that stopped do not hide what they should tell.
func TestStatusOfPITR(t *testing.T) {
	file := repository + "/examples/pitr/postgresql.json"
	p, err := readPITRPolicy(file)
	require.NoError(t, err)
	now := time.Date(2026, 2, 28, 3, 0, 0, 0, time.UTC)
	last := func(outcome execpitr.Outcome, age time.Duration) *execpitr.Run {
		return &execpitr.Run{Job: execpitr.JobBackup, Name: execpitr.Name(p), Started: now.Add(-age - time.Minute), Ended: now.Add(-age), Outcome: outcome}
	}
	begun := now.Add(-10 * time.Minute)
	for name, c := range map[string]struct {
		run     *execpitr.Run
		running *time.Time
		held    bool
		want    int
		says    string
	}{
		"complete":                         {last(execpitr.Complete, time.Hour), nil, false, StatusOK, "backup: complete"},
		"complete, long ago":               {last(execpitr.Complete, 50*time.Hour), nil, false, StatusFindings, "one is due every 1d 1min, and none was made"},
		"at work, the one before complete": {last(execpitr.Complete, time.Hour), &begun, true, StatusOK, "is at work, or was killed"},
		"at work, the one before failed":   {last(execpitr.Failed, time.Hour), &begun, true, StatusFindings, "the one before: failed"},
		"killed, the one before complete":  {last(execpitr.Complete, time.Hour), &begun, false, StatusFindings, "did not come to its end"},
		"the first is at work":             {nil, &begun, true, StatusFindings, "is at work, or was killed"},
		"failed":                           {last(execpitr.Failed, time.Hour), nil, false, StatusFindings, "backup: failed"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			records := filepath.Join(dir, execpitr.Name(p))
			require.NoError(t, os.Mkdir(records, 0o700))
			rec := execpitr.Record{ProtocolVersion: "1", Name: execpitr.Name(p), Job: execpitr.JobBackup, LastRun: c.run, Running: c.running}
			if c.run != nil && c.run.Outcome == execpitr.Complete {
				rec.LastComplete = &c.run.Started
			}
			text, err := json.Marshal(rec)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(records, execpitr.Name(p)+".backup.json"), text, 0o600))
			if c.held {
				release, err := backup.Lock(records, execpitr.Name(p)+".lock")
				require.NoError(t, err)
				defer release()
			}
			f := pitrJobFlags{stateDir: dir}
			f.output = "text"
			var out bytes.Buffer
			err = f.status(Env{Stdout: &out, Stderr: &out, Now: func() time.Time { return now }}, file)
			status := StatusOK
			var s *statusError
			if errors.As(err, &s) {
				status = s.status
			}
			require.Equal(t, c.want, status, out.String())
			require.Contains(t, out.String(), c.says)
		})
	}
}
