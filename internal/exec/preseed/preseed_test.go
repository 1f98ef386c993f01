//go:build unix

package preseed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/run"
	"github.com/stateward/stateward/preseed"
)

// E4: folders that something else makes are nothing; what is in them is.
func TestHolds(t *testing.T) {
	for _, tc := range []struct {
		name  string
		dirs  []string
		files []string
		links []string
		want  []string
	}{
		{"nothing", nil, nil, nil, nil},
		{"a folder that may be there", []string{"media/photos"}, nil, nil, nil},
		{"one in that", []string{"media/photos/2026"}, nil, nil, []string{"media/photos/2026"}},
		{"a file in it", nil, []string{"media/photos/x"}, nil, []string{"media/photos/x"}},
		{"a folder beside it", []string{"media/films"}, nil, nil, []string{"media/films"}},
		{"a hidden file", nil, []string{".x"}, nil, []string{".x"}},
		{"the folder of snapshots", []string{".zfs/snapshot/a"}, nil, nil, nil},
		{"three are enough", nil, []string{"a", "b", "c", "d"}, nil, []string{"a", "b", "c"}},
		{"a link that may be there", nil, nil, []string{"link"}, nil},
		{"another one", nil, nil, []string{"other"}, []string{"other"}},
		{"a file with nothing in it that may be there", nil, []string{"link"}, nil, nil},
		{"where a dataset below is mounted", []string{"child/of/it"}, nil, nil, nil},
		{"a file where a dataset below is mounted", nil, []string{"child/of/it"}, nil, []string{"child/of/it"}},
		{"a file beside that", nil, []string{"child/of/x"}, nil, []string{"child/of/x"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, d := range tc.dirs {
				if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for _, f := range tc.files {
				f = filepath.Join(dir, f)
				if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(f, nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for _, l := range tc.links {
				if err := os.Symlink("/nix/store/x", filepath.Join(dir, l)); err != nil {
					t.Fatal(err)
				}
			}
			got, err := (&runner{plan: preseed.Plan{MayHold: []string{"link", "media/photos"}}, folders: []string{"child/of/it"}}).holds(dir)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// No question, no key that nobody knows, and nothing that the shell over there would take for its own.
func TestRemote(t *testing.T) {
	s := preseed.Source{Kind: preseed.Replica, From: "syncoid@nas:tank/backup", SSHKey: "/k", KnownHosts: "/h"}
	at, err := s.Place()
	if err != nil {
		t.Fatal(err)
	}
	got, err := remote(s, at, "zfs", "send", "--", at.Dataset+"@a:b;reboot")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"ssh", "-oBatchMode=yes", "-oStrictHostKeyChecking=yes", "-oConnectTimeout=30", "-oServerAliveInterval=30", "-oServerAliveCountMax=4",
		"-oUserKnownHostsFile=/h", "-oGlobalKnownHostsFile=/dev/null", "-i", "/k", "-oIdentitiesOnly=yes", "--", "syncoid@nas", "zfs send -- 'tank/backup@a:b;reboot'"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// R2: what is restored is what the job has of the dataset.
func TestWanted(t *testing.T) {
	for _, tc := range []struct {
		name  string
		job   []string
		paths []string
		want  []string
		err   string
	}{
		{"the mountpoint", []string{"/var/lib/app"}, nil, []string{"/var/lib/app"}, ""},
		{"what is above", []string{"/var/lib", "/etc"}, nil, []string{"/var/lib/app"}, ""},
		{"parts of it", []string{"/var/lib/app/b", "/var/lib/app/a", "/var/lib/app/a/c", "/srv"}, nil, []string{"/var/lib/app/a", "/var/lib/app/b"}, ""},
		{"what the plan names", []string{"/var/lib/app"}, []string{"a/d", "a/c", "a"}, []string{"/var/lib/app/a"}, ""},
		{"what the job does not have", []string{"/var/lib/app/a"}, []string{"b"}, nil, "does not back up /var/lib/app/b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := (&runner{plan: preseed.Plan{Mountpoint: "/var/lib/app", Paths: tc.paths}}).wanted(restic.Job{Name: "apps", Paths: tc.job})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%v, want %q", err, tc.err)
			}
		})
	}
}

// E12: the record and the metrics say what was restored, from where and of when.
func TestE12Record(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 3, 17, 2, 5, 0, 0, time.UTC)
	r := &runner{plan: preseed.Plan{Name: "app", MetricsDir: dir}, o: Options{StateDir: dir, Now: func() time.Time { return now }}, files: 2, bytes: 30}
	r.rec = Record{Plan: "app", Started: now.Add(-time.Minute)}
	r.redact = []func(string) string{func(s string) string { return strings.ReplaceAll(s, "SECRET", "***") }}
	r.end(preseed.Decision{Outcome: preseed.Restored, Start: true, Source: preseed.Restic, Candidate: preseed.Candidate{Name: "snapshot 1", Time: now.Add(-time.Hour)}, Why: "SECRET"})
	file, _, err := r.report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if file != filepath.Join(dir, "app", "20260317T020400.000000Z.json") {
		t.Errorf("it lies in %s", file)
	}
	if _, err := r.write(); err == nil {
		t.Error("a record was written over")
	}
	s, err := ReadStatus(dir, "app")
	if err != nil || s.Newest == nil || s.Restored == nil {
		t.Fatalf("%+v %v", s, err)
	}
	if got := s.Restored; got.Why != "***" || got.Seconds != 60 || got.Bytes != 30 || !got.RecoveryPoint.Equal(now.Add(-time.Hour)) || len(got.Notes) != 1 {
		t.Errorf("%+v", got)
	}
	text, err := os.ReadFile(filepath.Join(dir, "stateward_preseed_app.prom"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`outcome{name="app",outcome="restored"} 1`, `outcome{name="app",outcome="failed"} 0`, `recovery_point_timestamp_seconds{name="app",source="restic"} 1773709500`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the metrics have no %s:\n%s", want, text)
		}
	}
}

// What does not come by itself is not waited for: without zfs a run says so at once, and never lets the service start.
func TestE13WithoutZFS(t *testing.T) {
	dir := t.TempDir()
	p := preseed.Plan{ProtocolVersion: "1", Name: "app", Service: "app", Units: []string{"app.service"}, Dataset: "tank/app", Mountpoint: "/var/lib/app", Sources: []preseed.Source{{Kind: preseed.Local}}, OnNoBackup: preseed.StartEmpty}
	p.MetricsDir = filepath.Join(dir, "missing")
	began := time.Now()
	r, err := Run(t.Context(), p, Options{Env: []string{"PATH=" + dir}, StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run"), LockDir: filepath.Join(dir, "lock"), Now: time.Now, Timeout: time.Hour})
	if err == nil || !strings.Contains(err.Error(), "failed") || !strings.Contains(err.Error(), "zpool") || !strings.Contains(strings.Join(r.Warnings, ""), "metricsDir "+p.MetricsDir+": no such file or directory") || r.Outcome != preseed.Failed || time.Since(began) > 30*time.Second {
		t.Errorf("%v %+v", err, r)
	}
}

// E7: a replica has nothing only where zfs says so. A command that a key is restricted to may print nothing, and end well.
func TestE7SilentReplica(t *testing.T) {
	for _, tc := range []struct {
		name, get, users string
		want             preseed.AnswerKind
		reason           string
	}{
		{"silent", "", "", preseed.SourceUnreachable, "zfs does not say"},
		{"half an answer", `receive_resume_token\t-\n`, "", preseed.SourceUnreachable, "zfs does not say"},
		{"a banner", `Welcome\n`, "", preseed.SourceUnreachable, "printed"},
		{"empty", `receive_resume_token\t-\nlogicalreferenced\t43008\n`, `root\t1\n`, preseed.ConfirmedNone, ""},
		{"empty, and nobody counts", `receive_resume_token\t-\nlogicalreferenced\t43008\n`, `root\t-\n`, preseed.ConfirmedNone, ""},
		{"silent of what it counts", `receive_resume_token\t-\nlogicalreferenced\t43008\n`, "", preseed.SourceUnreachable, "zfs does not say"},
		{"a small file", `receive_resume_token\t-\nlogicalreferenced\t12800\n`, `root\t1\n1000\t1\n`, preseed.SourceRefused, "files or folders in it, 1 of them"},
		{"files", `receive_resume_token\t-\nlogicalreferenced\t430080\n`, "", preseed.SourceRefused, "holds 430080 bytes"},
		{"cut off", `receive_resume_token\t1-a\nlogicalreferenced\t43008\n`, "", preseed.SourceRefused, "was cut off"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			script := "#!/bin/sh\nfor line; do :; done\ncase $line in \"zfs get\"*) printf '" + tc.get + "';; \"zfs userspace\"*) printf '" + tc.users + "';; esac\n"
			if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			r := &runner{plan: preseed.Plan{Sources: []preseed.Source{{Kind: preseed.Replica, From: "nas:tank/app"}}}, o: Options{Env: []string{"PATH=" + dir}, Now: time.Now}}
			a := r.ask(t.Context(), preseed.Replica)
			if a.Kind != tc.want || !strings.Contains(a.Reason, tc.reason) {
				t.Errorf("%s: %s", a.Kind, a.Reason)
			}
		})
	}
}

// E10: what a run left that was of another dataset is not of this one, and waiting changes nothing about it.
func TestE10WhatCannotBeSeen(t *testing.T) {
	dir := t.TempDir()
	r := &runner{plan: preseed.Plan{Name: "app", Dataset: "tank/app"}, o: Options{StateDir: dir}}
	journal := func(text string) error {
		t.Helper()
		if err := os.WriteFile(r.journalFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := r.journal(t.Context(), nil)
		return err
	}
	if err := journal(`{"target": "tank/app"}`); err != nil {
		t.Error(err)
	}
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"a journal of another dataset", journal(`{"target": "tank/photos"}`),
			"refused: a run of a plan with this name did not come to its end, and was of tank/photos, not of tank/app (" + dir + "/app.journal.json): give this plan another name, or first run the one of tank/photos to its end"},
		{"a program that is not there", fmt.Errorf("see: %w", &run.NotFoundError{Path: "zfs", Err: os.ErrNotExist}), "failed: "},
		{"what may be otherwise in a minute", errors.New("zfs: no answer"), "wait unreachable: it cannot be seen: zfs: no answer: see why"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := unseen(tc.err)
			got := string(d.Outcome) + ": " + d.Why + ": " + d.Hint
			if d.Action != "" {
				got = string(d.Action) + " " + string(d.Late) + got
			}
			if !strings.HasPrefix(got, tc.want) || d.Start {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
