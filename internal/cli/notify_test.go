package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup/notify"
	"github.com/stateward/stateward/backup/pitr"
	execpitr "github.com/stateward/stateward/internal/exec/pitr"
	"github.com/stateward/stateward/internal/nixtest"
)

// notified runs the command as a unit would, and returns what a webhook was sent.
func notified(t *testing.T, event, unit, systemctl, record string, environment map[string]string) (notify.Post, result) {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), mode))
	}
	var post notify.Post
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		require.NoError(t, json.Unmarshal(body, &post))
		require.Equal(t, "Bearer CANARY-token", r.Header.Get("Authorization"))
	}))
	t.Cleanup(s.Close)
	file("url", s.URL+"/CANARY-path\n", 0o600)
	file("token", "CANARY-token\n", 0o600)
	file("notify.json", fmt.Sprintf(`{"protocolVersion":"1","host":"forge","channels":[{"name":"hook","type":"webhook","urlFile":%q,"tokenFile":%q}]}`, dir+"/url", dir+"/token"), 0o644)
	file("bin/systemctl", "#!/bin/sh\n"+systemctl, 0o755)
	if record != "" {
		file("records/apps.json", record, 0o600)
		file("records/apps/newest.json", record, 0o600)
		file("records/apps.check.json", record, 0o600)
	}
	var out, errs bytes.Buffer
	status := Main(context.Background(), []string{"notify", "--plan", dir + "/notify.json", "--event=" + event, "--unit=" + unit, "--state-dir", dir + "/records", "--preseed-state-dir", dir + "/records", "--pitr-state-dir", dir + "/records"},
		Env{Stdout: &out, Stderr: &errs, Now: func() time.Time { return today }, Getenv: func(name string) string {
			if name == "PATH" {
				return dir + "/bin"
			}
			return environment[name]
		}})
	require.NotContains(t, out.String()+errs.String(), "CANARY")
	return post, result{status, out.String(), errs.String()}
}

// What a message says is of the run that ended, and of none before it.
func TestE12NotificationsSayWhatHappened(t *testing.T) {
	at := func(seconds int) time.Time { return today.Add(time.Duration(seconds) * time.Second) }
	state := func(result string, code, status, began int) string {
		return fmt.Sprintf("cat <<'E'\nLoadState=loaded\nResult=%s\nExecMainCode=%d\nExecMainStatus=%d\nExecMainStartTimestamp=@%d\nExecMainExitTimestamp=@%d\nE\n", result, code, status, at(began).Unix(), at(-1).Unix())
	}
	record := func(outcome, message string, began, ended int) string {
		return fmt.Sprintf(`{"protocolVersion":"1","job":"apps","lastRun":{"started":%q,"ended":%q,"outcome":%q,"message":%q},"lastGood":{"time":"2026-03-16T12:00:00Z","snapshot":"0123456789","files":2,"bytes":2048,"host":"forge","paths":["/a"]}}`,
			at(began).Format(time.RFC3339Nano), at(ended).Format(time.RFC3339Nano), outcome, message)
	}
	const unit = "stateward-backup-apps.service"
	for _, tc := range []struct {
		name, event, unit, state, record string
		environment                      map[string]string
		title, message, exit             string
	}{
		{"a run that is incomplete", "failure", unit, state("exit-code", 1, 4, -60), record("incomplete", "a file", -59, -2), nil, "apps on forge: incomplete", "a file\nexit status 4\nlast good run: 1 d ago", "4"},
		{"a run that is complete", "success", unit, state("success", 1, 0, -60), record("complete", "", -59, -2), nil, "apps on forge: complete", "snapshot 01234567: 2 files, 2.0 KiB\ntook 57 s", "0"},
		{"one that was killed before it wrote", "failure", unit, state("oom-kill", 2, 9, -60), record("complete", "", -90000, -89000), nil, "apps on forge: oom-kill",
			"the run ended before it could write down what came of it\nexit status KILL\nlast good run: 1 d ago", "KILL"},
		{"one that was never started", "failure", unit, state("success", 1, 0, -90001), record("complete", "", -90000, -89000), nil, "apps on forge: not run",
			"the unit was not started, or something it needs failed; its newest run ended at 2026-03-16T11:16:40Z: complete\nlast good run: 1 d ago", ""},
		{"one that was never started, after one that failed", "failure", unit, state("exit-code", 1, 4, -90001), record("locked", "x", -90000, -89000), nil, "apps on forge: not run",
			"the unit was not started, or something it needs failed; its newest run ended at 2026-03-16T11:16:40Z: locked\nlast good run: 1 d ago", ""},
		{"a unit that failed after its run", "failure", unit, state("timeout", 2, 15, -60), record("complete", "", -59, -2), nil, "apps on forge: timeout", "the run itself is complete, and the unit failed after it\nexit status TERM\nlast good run: 1 d ago", "TERM"},
		{"a first run that was killed", "critical", unit, state("signal", 2, 9, -60), "", nil, "apps on forge: signal", "exit status KILL", "KILL"},
		{"any unit", "failure", `a-b@c\x2dd.service`, state("exit-code", 1, 1, -60), "", nil, `a-b@c\x2dd on forge: exit-code`, "exit status 1", "1"},
		{"what systemd hands over", "failure", "a.service", state("success", 1, 0, -60), "", map[string]string{"MONITOR_UNIT": "a.service", "MONITOR_SERVICE_RESULT": "watchdog", "MONITOR_EXIT_STATUS": "ABRT"}, "a on forge: watchdog", "exit status ABRT", "ABRT"},
		{"a unit that systemd does not know", "failure", "a.service", "echo LoadState=not-found", "", nil, "a on forge: unknown", "unit a.service: systemd does not know it", ""},
		{"a record that is broken", "failure", unit, state("exit-code", 1, 4, -60), "{", nil, "apps on forge: exit-code", "", "4"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			post, r := notified(t, tc.event, tc.unit, tc.state, tc.record, tc.environment)
			require.Equal(t, StatusOK, r.status, r.stderr)
			require.Equal(t, []string{tc.title, tc.exit}, []string{post.Title, post.ExitStatus})
			if tc.message != "" {
				require.Equal(t, tc.message, post.Message)
			}
			require.Equal(t, tc.event+": "+tc.title+"\n  hook (webhook): sent\n", r.stdout)
		})
	}
}

// What a person reads at night says which service is down, why, and what to do; nothing of it is of an earlier run.
func TestE12NotificationsOfPreseed(t *testing.T) {
	at := func(seconds int) string { return today.Add(time.Duration(seconds) * time.Second).Format(time.RFC3339) }
	state := func(result string, code, status, began int) string {
		return fmt.Sprintf("cat <<'E'\nLoadState=loaded\nResult=%s\nExecMainCode=%d\nExecMainStatus=%d\nExecMainStartTimestamp=@%d\nExecMainExitTimestamp=@%d\nE\n", result, code, status,
			today.Add(time.Duration(began)*time.Second).Unix(), today.Add(-time.Second).Unix())
	}
	record := func(outcome string, start bool, why, more string) string {
		return fmt.Sprintf(`{"plan":"apps","service":"app","dataset":"tank/app","outcome":%q,"start":%v,"why":%q,"started":%q,"ended":%q%s}`, outcome, start, why, at(-60), at(-2), more)
	}
	const unit = "stateward-preseed-apps.service"
	for _, tc := range []struct{ name, event, state, record, title, message string }{
		{"restored", "success", state("success", 0, 0, -61), record("restored", true, "snapshot 1234", `,"source":"restic","recoveryPoint":"2026-03-16T01:30:00Z","files":12,"bytes":2048`),
			"preseed of apps on forge: restored", "restored: 12 files, 2.0 KiB, of 2026-03-16 01:30 UTC, from restic\ntook 58 s"},
		{"E7 unreachable", "critical", state("exit-code", 1, 4, -61), record("unreachable", false, "replica cannot be asked: Host key verification failed.", `,"hint":"see why"`),
			"preseed of apps on forge: unreachable", "app stays down: replica cannot be asked: Host key verification failed.\nhint: see why\nexit status 4"},
		{"it starts empty", "critical", state("success", 0, 0, -61), record("confirmed-no-backup", true, "none has anything", ""), "preseed of apps on forge: confirmed-no-backup", "app starts with nothing: none has anything"},
		{"it was killed before it wrote", "critical", state("signal", 2, 9, -1), record("already-seeded", true, "x", ""), "preseed of apps on forge: signal",
			"the run ended before it could write down what came of it\nhint: journalctl -u stateward-preseed-apps.service\nexit status KILL"},
		{"it was never started", "critical", state("success", 0, 0, -90000), record("already-seeded", true, "x", ""), "preseed of apps on forge: not run",
			"app stays down: the unit was not started, or something it needs failed; its newest run ended at 2026-03-17T11:59:58Z: already-seeded\nhint: systemctl list-dependencies --after stateward-preseed-apps.service"},
		{"it never ran", "critical", state("oom-kill", 2, 9, -60), "", "preseed of apps on forge: oom-kill", "the run ended before it could write down what came of it\nhint: journalctl -u stateward-preseed-apps.service\nexit status KILL"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			post, r := notified(t, tc.event, unit, tc.state, tc.record, nil)
			require.Equal(t, StatusOK, r.status, r.stderr)
			require.Equal(t, []string{tc.title, tc.message}, []string{post.Title, post.Message})
		})
	}
}

// Of the jobs of an archived cluster it says what a run found, and what to do.
func TestE12NotificationsOfArchivedClusters(t *testing.T) {
	state := func(result string, status, began int) string {
		return fmt.Sprintf("cat <<'E'\nLoadState=loaded\nResult=%s\nExecMainCode=1\nExecMainStatus=%d\nExecMainStartTimestamp=@%d\nExecMainExitTimestamp=@%d\nE\n", result, status,
			today.Add(time.Duration(began)*time.Second).Unix(), today.Add(-time.Second).Unix())
	}
	text, err := json.Marshal(execpitr.Record{ProtocolVersion: "1", Name: "apps", Job: "check", LastRun: &execpitr.Run{Job: "check", Name: "apps", Started: today.Add(-time.Minute), Ended: today.Add(-2 * time.Second),
		Outcome: execpitr.Faults, Hint: "look", Check: &pitr.Check{Faults: []pitr.Fault{{Message: "the server cannot archive x", Hint: "look"}}}}})
	require.NoError(t, err)
	for _, tc := range []struct{ name, state, record, title, message string }{
		{"it found something", state("exit-code", 1, -61), string(text), "pitr check of apps on forge: faults", "the server cannot archive x\nhint: look\nexit status 1\nlast good run: never"},
		{"it was killed before it wrote", state("exit-code", 4, -10), string(text), "pitr check of apps on forge: exit-code", "the run ended before it could write down what came of it\nhint: journalctl -u stateward-pitr-check-apps.service\nexit status 4\nlast good run: never"},
		{"it never ran", state("exit-code", 4, -10), "", "pitr check of apps on forge: exit-code", "the run ended before it could write down what came of it\nhint: journalctl -u stateward-pitr-check-apps.service\nexit status 4\nlast good run: never"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			post, r := notified(t, "failure", "stateward-pitr-check-apps.service", tc.state, tc.record, nil)
			require.Equal(t, StatusOK, r.status, r.stderr)
			require.Equal(t, []string{tc.title, tc.message}, []string{post.Title, post.Message})
		})
	}
}

// A message that says "unknown on forge" helps nobody.
func TestNotifyOfNothing(t *testing.T) {
	plan := filepath.Join(repository, "examples/notify/notify.json")
	r := run(t, nil, "notify", "--plan", plan, "--event", "failure", "--dry-run")
	require.Equal(t, StatusUsage, r.status)
	require.Contains(t, r.stderr, "--unit is missing\n  hint: say of what to tell: --unit NAME, --job NAME or --preseed NAME")
	r = run(t, nil, "notify", "--plan", plan, "--event", "failure", "--dry-run", "--preseed", "../x")
	require.Equal(t, StatusUsage, r.status)
}

func TestNotifyUnitsAsNix(t *testing.T) {
	r := run(t, nil, "notify", "units", "--plan", filepath.Join(repository, "examples/notify/notify.json"), "--at", "/etc/a ''${b}\" 100%.json", "-o", "nix")
	require.Equal(t, StatusOK, r.status, r.stderr)
	one := run(t, nil, "notify", "units", "--plan", filepath.Join(repository, "examples/notify/notify.json"), "--at", "/etc/a ''${b}\" 100%.json", "--event", "failure")
	_, text, _ := strings.Cut(one.stdout, "\n")
	for _, nix := range nixtest.All(t) {
		var got string
		nix.JSON(t, "(("+r.stdout+`) { }).systemd.units."stateward-notify@.service".text`, &got)
		require.Equal(t, text, got, nix.Name)
	}
}

func TestDocsNameEveryPlaceholder(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "docs/notifications.md"))
	require.NoError(t, err)
	for name, is := range notify.Placeholders() {
		require.Contains(t, string(text), "\n| `{"+name+"}` | "+is+" |\n")
	}
}
