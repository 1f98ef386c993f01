//go:build unix

package preseed

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/preseed"
)

// told is a run that ends as the decision says, with a real socket for the journal and a systemctl that writes down what it is asked.
func told(t *testing.T, d preseed.Decision, change func(*runner)) (r *runner, journal, systemctl string, warnings []string, err error) {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	file("systemctl", "#!/bin/sh\necho \"$@\" >>"+dir+"/asked\n", 0o755)
	for _, sub := range []string{"state", "metrics"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "journal"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	at := time.Date(2026, 3, 17, 2, 0, 0, 0, time.UTC)
	r = &runner{
		plan: preseed.Plan{Name: "app", MetricsDir: filepath.Join(dir, "metrics"), Notify: backup.Notify{OnSuccess: "success", OnFailure: "critical"}},
		o:    Options{Env: []string{"PATH=" + dir + ":/bin:/usr/bin"}, StateDir: filepath.Join(dir, "state"), Journal: filepath.Join(dir, "journal"), Now: func() time.Time { return at.Add(90 * time.Second) }},
		rec:  Record{Plan: "app", Service: "app", Dataset: "tank/app", Started: at},
	}
	r.redact = append(r.redact, func(s string) string { return strings.ReplaceAll(s, "CANARY", "***") })
	if change != nil {
		change(r)
	}
	r.end(d)
	_, warnings, err = r.report(context.Background())
	_ = socket.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	buffer := make([]byte, 1<<16)
	if n, err := socket.Read(buffer); err == nil {
		journal = string(buffer[:n])
	}
	asked, _ := os.ReadFile(filepath.Join(dir, "asked"))
	for _, glob := range []string{"state/*", "state/*/*", "metrics/*", "asked"} {
		files, _ := filepath.Glob(filepath.Join(dir, glob))
		for _, f := range files {
			if text, err := os.ReadFile(f); err == nil && bytes.Contains(text, []byte("CANARY")) {
				t.Errorf("a secret is in %s:\n%s", f, text)
			}
			if strings.HasSuffix(f, ".new") {
				t.Errorf("%s is left", f)
			}
		}
	}
	if strings.Contains(journal+strings.Join(warnings, ""), "CANARY") {
		t.Errorf("a secret is told: %s %q", journal, warnings)
	}
	return r, journal, string(asked), warnings, err
}

// E12: outcome, source, recovery point, bytes and duration go to the journal, and people are told where somebody has to look.
func TestE12Told(t *testing.T) {
	restored := preseed.Decision{Outcome: preseed.Restored, Start: true, Source: preseed.Restic, Candidate: preseed.Candidate{Name: "snapshot 1234", Time: time.Date(2026, 3, 17, 1, 30, 0, 0, time.UTC)}, Why: "snapshot 1234 from restic"}
	for _, tc := range []struct {
		name    string
		d       preseed.Decision
		change  func(*runner)
		journal []string
		asked   string
	}{
		{"restored", restored, func(r *runner) { r.files, r.bytes = 12, 4096 },
			[]string{"MESSAGE=preseed of tank/app: restored: app has its data again: snapshot 1234 from restic\n", "PRIORITY=5\n", "STATEWARD_OUTCOME=restored\n", "STATEWARD_START=true\n",
				"STATEWARD_SOURCE=restic\n", "STATEWARD_RECOVERY_POINT=2026-03-17T01:30:00Z\n", "STATEWARD_BYTES=4096\n", "STATEWARD_FILES=12\n", "STATEWARD_SECONDS=90\n"},
			"start --no-block -- stateward-notify-success@stateward-preseed-app.service.service\n"},
		{"by hand", restored, func(r *runner) { r.o.From = preseed.Restic }, []string{"STATEWARD_OUTCOME=restored\n"}, ""},
		{"seeded before", preseed.Decision{Outcome: preseed.AlreadySeeded, Start: true, Why: "it was seeded before"}, nil, []string{"PRIORITY=6\n"}, ""},
		{"it starts empty", preseed.Decision{Outcome: preseed.ConfirmedNoBackup, Start: true, Why: "none has anything"}, func(r *runner) { r.rec.Actions = []string{"mark-empty"} },
			[]string{"MESSAGE=preseed of tank/app: confirmed-no-backup: app starts with nothing: none has anything\n", "PRIORITY=2\n"},
			"start --no-block -- stateward-notify-critical@stateward-preseed-app.service.service\n"},
		// OnFailure= of the unit tells of it.
		{"E7 unreachable", preseed.Decision{Outcome: preseed.Unreachable, Why: "restic cannot be asked: password CANARY", Hint: "say CANARY"}, nil,
			[]string{"MESSAGE=preseed of tank/app: unreachable: app stays down: restic cannot be asked: password *** (hint: say ***)\n", "PRIORITY=3\n", "STATEWARD_START=false\n"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, journal, asked, warnings, err := told(t, tc.d, tc.change)
			if err != nil || len(warnings) > 0 {
				t.Fatal(err, warnings)
			}
			for _, want := range tc.journal {
				if !strings.Contains(journal, want) {
					t.Errorf("the journal has no %q:\n%s", want, journal)
				}
			}
			if diff := cmp.Diff(tc.asked, asked); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// E8: what cannot be told keeps no service down that has its data; only that it starts empty must be written down.
func TestE12NothingToTellKeepsAServiceDown(t *testing.T) {
	seeded := preseed.Decision{Outcome: preseed.AlreadySeeded, Start: true, Why: "it was seeded before"}
	empty := preseed.Decision{Outcome: preseed.ConfirmedNoBackup, Start: true, Why: "none has anything"}
	block := func(r *runner) { // a file is where a folder should be
		r.o.StateDir = filepath.Join(r.o.StateDir, "x", "y")
		_ = os.WriteFile(filepath.Dir(r.o.StateDir), nil, 0o600)
	}
	for _, tc := range []struct {
		name   string
		d      preseed.Decision
		change func(*runner)
		says   string
		fails  bool
	}{
		{"no folder of metrics", seeded, func(r *runner) { r.plan.MetricsDir += "/none" }, "metricsDir", false},
		{"nobody listens at the journal's socket", seeded, func(r *runner) { r.o.Journal = filepath.Dir(r.o.Journal) }, "the journal is not told", false},
		{"no journal", seeded, func(r *runner) { r.o.Journal += "none" }, "", false},
		{"no unit to tell with", empty, func(r *runner) { r.rec.Actions = []string{"mark-empty"}; r.o.Env = []string{"PATH=/nowhere"} }, "nobody is told, since stateward-notify-critical@stateward-preseed-app.service.service is not started", false},
		{"no record of a dataset that was seeded", seeded, block, "the record is not written", false},
		{"no record of a start with nothing", empty, block, "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, _, warnings, err := told(t, tc.d, tc.change)
			if (err != nil) != tc.fails {
				t.Fatal(err)
			}
			if got := strings.Join(warnings, "\n"); !strings.Contains(got, tc.says) || tc.says == "" && got != "" {
				t.Errorf("it warns of %q, want %q", got, tc.says)
			}
		})
	}
}

// A run may wait for hours with its service down: that is written down at once, and told after minutes, once.
func TestE13WaitingIsTold(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte("#!/bin/sh\necho \"$@\" >>"+dir+"/asked\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 17, 2, 0, 0, 0, time.UTC)
	r := &runner{plan: preseed.Plan{Name: "app", Notify: backup.Notify{OnFailure: "critical"}}, rec: Record{Plan: "app", Service: "app"},
		o: Options{Env: []string{"PATH=" + dir + ":/bin:/usr/bin"}, StateDir: dir, Now: func() time.Time { return now }}}
	asked := func() string { text, _ := os.ReadFile(dir + "/asked"); return string(text) }
	wait := preseed.Decision{Action: preseed.Wait, Late: preseed.Unreachable, Why: "restic cannot be asked"}
	r.waits(t.Context(), wait)
	s, err := ReadStatus(dir, "app")
	if err != nil || s.Waiting == nil || s.Waiting.Why != wait.Why || s.Waiting.Start || !s.Waiting.Waits(now) {
		t.Fatalf("%v, %+v", err, s)
	}
	if asked() != "" {
		t.Error("it is told at once: " + asked())
	}
	for range 10 {
		now = now.Add(time.Minute)
		r.waits(t.Context(), wait)
	}
	if diff := cmp.Diff("start --no-block -- stateward-notify-critical@stateward-preseed-app.service.service\n", asked()); diff != "" {
		t.Error(diff)
	}
	if s, _ = ReadStatus(dir, "app"); s.Waiting.Seconds != 600 || s.Waiting.Waits(now.Add(time.Hour)) {
		t.Errorf("%+v", s.Waiting)
	}
	r.waitsNoMore()
	if s, _ = ReadStatus(dir, "app"); s.Waiting != nil {
		t.Error("it waits no more")
	}
}

func TestJournalEntry(t *testing.T) {
	if diff := cmp.Diff("A=b=c\nM\n\x03\x00\x00\x00\x00\x00\x00\x00x\ny\n", string(entry([][2]string{{"A", "b=c"}, {"M", "x\ny"}}))); diff != "" {
		t.Error(diff)
	}
}

// E11 E12: a careless run restores, and its record says when; nothing says what that costs, and nobody hears of it.
func TestE11E12CarelessRecord(t *testing.T) {
	missing := func(rec Record, journal, asked, metrics string) (out []string) {
		for _, is := range []struct {
			there bool
			what  string
		}{
			{rec.Source != preseed.Restic || strings.Contains(strings.Join(rec.Notes, " "), "its next replication sends everything"), "nothing says that replication starts anew"},
			{strings.Contains(journal, "STATEWARD_OUTCOME="+string(rec.Outcome)+"\n"), "the journal has no outcome"},
			{strings.Contains(journal, "STATEWARD_SOURCE="+string(rec.Source)+"\n") && strings.Contains(journal, "STATEWARD_RECOVERY_POINT="), "the journal does not say what was restored"},
			{strings.Contains(metrics, `outcome="`+string(rec.Outcome)+`"} 1`), "the metrics have no outcome"},
			{asked != "", "nobody is told"},
		} {
			if !is.there {
				out = append(out, is.what)
			}
		}
		return out
	}
	d := preseed.Decision{Outcome: preseed.Restored, Start: true, Source: preseed.Restic, Candidate: preseed.Candidate{Name: "snapshot 1234", Time: time.Date(2026, 3, 17, 1, 30, 0, 0, time.UTC)}, Why: "snapshot 1234 from restic"}
	careless := func(d preseed.Decision) (rec Record, journal, asked, metrics string) {
		return Record{Outcome: d.Outcome, Start: d.Start, Source: d.Source, Candidate: d.Candidate.Name}, "MESSAGE=done\n", "", ""
	}
	if diff := cmp.Diff([]string{"nothing says that replication starts anew", "the journal has no outcome", "the journal does not say what was restored", "the metrics have no outcome", "nobody is told"}, missing(careless(d))); diff != "" {
		t.Error(diff)
	}
	r, journal, asked, warnings, err := told(t, d, nil)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	metrics, err := os.ReadFile(filepath.Join(r.plan.MetricsDir, "stateward_preseed_app.prom"))
	if err != nil {
		t.Fatal(err)
	}
	// What is kept of it is the file, not what the run had in mind.
	s, err := ReadStatus(r.o.StateDir, "app")
	if err != nil || s.Restored == nil {
		t.Fatal(err, s)
	}
	if diff := cmp.Diff([]string(nil), missing(*s.Restored, journal, asked, string(metrics))); diff != "" {
		t.Error(diff)
	}
	// What other sources restore has its snapshots, and says nothing of that.
	d.Source = preseed.Local
	if r, _, _, _, _ := told(t, d, nil); len(r.rec.Notes) > 0 {
		t.Errorf("%q", r.rec.Notes)
	}
}
