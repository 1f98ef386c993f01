package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	policy "github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/drill"
	"github.com/stateward/stateward/internal/golden"
)

func (b *jobs) drill(args ...string) result {
	b.t.Helper()
	r := b.run(append([]string{"drill", "--restic", b.program, "--quiet", "--state-dir", filepath.Join(b.dir, "state"), "--drill-dir", filepath.Join(b.dir, "drills"),
		"--lock-dir", filepath.Join(b.dir, "lock"), "--scratch", filepath.Join(b.dir, "scratch")}, args...)...)
	require.NotContains(b.t, r.stdout+r.stderr, "nobody sees")
	return r
}

var (
	drillTook     = regexp.MustCompile(` in [0-9.ms]+ \([^)]* a second\)`)
	drillSnapshot = regexp.MustCompile(`snapshot [0-9a-f]{8} of`)
)

// drillShown puts what a command printed into a page of the documents.
func drillShown(t *testing.T, text []byte, name, command, printed string) []byte {
	t.Helper()
	block := regexp.MustCompile("(?s)<!-- made by internal/cli/drill_test.go: " + name + " -->\n```console\n(.*?)```\n")
	require.Len(t, block.FindAll(text, -1), 1, name)
	return block.ReplaceAllLiteral(text, fmt.Appendf(nil, "<!-- made by internal/cli/drill_test.go: %s -->\n```console\n$ %s\n%s```\n", name, command, printed))
}

// What docs/drill.md shows is what is printed.
func TestDocsShowDrills(t *testing.T) {
	page := filepath.Join(repository, "docs/drill.md")
	for _, program := range restics(t) {
		b := newJobs(t, program)
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		b.file("data/db.sqlite3", "")
		out, err := exec.Command("sqlite3", filepath.Join(b.dir, "data/db.sqlite3"), "create table t(a); with recursive c(x) as (select 1 union all select x+1 from c where x<2000) insert into t select hex(zeroblob(50)) from c").CombinedOutput()
		require.NoError(t, err, "%s; sqlite3 is needed: make deps", out)
		j := b.plan("paperless")
		j.Drill = &policy.Drill{Every: "30d", Command: []string{"test", "-s", "." + j.Paths[0] + "/db.sqlite3"}}
		plan, err := j.Write()
		require.NoError(t, err)
		b.file("plans/paperless.json", string(plan))
		b.good(j, 9e12)
		file := filepath.Join(b.dir, "plans/paperless.json")
		clean := func(r result) string {
			got := drillTook.ReplaceAllString(r.stdout+r.stderr, " in 1.4s (154.9 KiB a second)")
			got = drillSnapshot.ReplaceAllString(got, "snapshot 5dd84a12 of")
			got = strings.ReplaceAll(got, b.dir+"/drills", "/var/lib/stateward/drill")
			return strings.ReplaceAll(got, b.dir+"/data", "/var/lib/paperless")
		}
		r := b.drill("--plan", file)
		require.Equal(t, StatusOK, r.status, r.stderr)
		text = drillShown(t, text, "passes", "stateward drill --plan paperless.json --quiet", clean(r))

		r = b.drill("--plan", file, "--if-due")
		require.Equal(t, StatusOK, r.status, r.stderr)
		require.Equal(t, "paperless: no drill is due: one passed on 2026-03-17 12:00\n", r.stdout)

		require.NoError(t, os.RemoveAll(filepath.Join(b.dir, "drills")))
		require.NoError(t, os.Truncate(filepath.Join(b.dir, "data/db.sqlite3"), 100000))
		b.good(j, 8e12)
		r = b.drill("--plan", file, "--if-due")
		require.Equal(t, StatusStep, r.status, r.stderr)
		text = drillShown(t, text, "fails", "stateward drill --plan paperless.json --quiet", clean(r))
		r = b.drill("--plan", file, "-o", "json", "--snapshot", "0123456789")
		require.Equal(t, StatusStep, r.status)
		var got DrillOutput
		require.NoError(t, json.Unmarshal([]byte(r.stdout), &got))
		require.Empty(t, got.Record.Checks)
		require.Equal(t, drill.Refused, got.Record.Verdict)

		units := []string{"drill", "units", "--plan", filepath.Join(repository, "examples/drill/paperless.json"), "--installed-plan", "/etc/stateward/backup/paperless.json", "--path", "/run/current-system/sw/bin"}
		r = b.run(units...)
		require.Equal(t, StatusOK, r.status, r.stderr)
		text = drillShown(t, text, "units", "stateward drill units --plan paperless.json --installed-plan /etc/stateward/backup/paperless.json --path /run/current-system/sw/bin", r.stdout)
		golden.Compare(t, page, text)
	}
}

// R13: what is written passes systemd's own look, and there are always both.
func TestR13DrillUnits(t *testing.T) {
	b := newJobs(t, "")
	j := b.plan("paperless")
	j.Drill = &policy.Drill{Every: "2d"}
	j.Limits.Memory, j.Limits.Nice = "2G", 5
	text, err := j.Write()
	require.NoError(t, err)
	b.file("plans/100% odd $name.json", string(text))
	out := filepath.Join(b.dir, "new/units")
	self, err := os.Executable()
	require.NoError(t, err)
	args := []string{"drill", "units", "--plan", filepath.Join(b.dir, "plans/100% odd $name.json"), "--stateward", self, "--scratch", b.dir, "--write", out}
	ran := b.run(args...)
	require.Equal(t, StatusOK, ran.status)
	require.Equal(t, out+"/stateward-drill-paperless.service\n"+out+"/stateward-drill-paperless.timer\n", ran.stdout)
	args[len(args)-2] = "--out" // as it was called before
	require.Equal(t, StatusOK, b.run(args...).status)
	service, timer := filepath.Join(out, "stateward-drill-paperless.service"), filepath.Join(out, "stateward-drill-paperless.timer")
	written, err := os.ReadFile(timer)
	require.NoError(t, err)
	require.Contains(t, string(written), "OnCalendar=hourly\n")
	written, err = os.ReadFile(service)
	require.NoError(t, err)
	for _, line := range []string{"ProtectSystem=strict", "Nice=5", "MemoryMax=2G", `--plan "` + b.dir + `/plans/100%% odd $$name.json" --if-due`} {
		require.Contains(t, string(written), line)
	}
	list := os.Getenv("STATEWARD_TEST_SYSTEMD")
	if list == "" {
		list = "systemd-analyze"
	}
	for _, program := range filepath.SplitList(list) {
		said, err := exec.Command(program, "verify", "--man=no", service, timer).CombinedOutput()
		require.NoError(t, err, "%s", said)
		require.Empty(t, string(said))
	}
	j.Drill = nil
	text, err = j.Write()
	require.NoError(t, err)
	b.file("plans/none.json", string(text))
	r := b.run("drill", "units", "--plan", filepath.Join(b.dir, "plans/none.json"))
	require.Equal(t, StatusEvaluation, r.status)
	require.Contains(t, r.stderr, "does not say how often")
}
