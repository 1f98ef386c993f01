package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup/restic"
	execbackup "github.com/stateward/stateward/internal/exec/backup"
	"github.com/stateward/stateward/internal/golden"
	"github.com/stateward/stateward/internal/restictest"
)

// restics are the restic to try with: those of STATEWARD_TEST_RESTIC, or the one of the machine.
func restics(t *testing.T) []string {
	t.Helper()
	if list := os.Getenv("STATEWARD_TEST_RESTIC"); list != "" {
		return filepath.SplitList(list)
	}
	found, err := exec.LookPath("restic")
	require.NoError(t, err, "restic is needed; run: make deps, or eval \"$(scripts/deps.sh --versions)\"")
	return []string{found}
}

// jobs is a folder with plans, records and repositories.
type jobs struct {
	t            *testing.T
	dir, program string
}

func newJobs(t *testing.T, program string) *jobs {
	b := &jobs{t, t.TempDir(), program}
	for _, dir := range []string{"plans", "state"} {
		require.NoError(t, os.Mkdir(filepath.Join(b.dir, dir), 0o700))
	}
	b.file("password", "a secret that nobody sees\n")
	b.file("data/a", strings.Repeat("a", 3000))
	b.file("data/b", strings.Repeat("b", 500))
	return b
}

func (b *jobs) file(name, text string) {
	b.t.Helper()
	name = filepath.Join(b.dir, name)
	require.NoError(b.t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(b.t, os.WriteFile(name, []byte(text), 0o600))
}

func (b *jobs) restic(repository string, args ...string) []byte {
	b.t.Helper()
	cmd := exec.Command(b.program, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir, "TZ=UTC", "RESTIC_REPOSITORY=" + repository, "RESTIC_PASSWORD_FILE=" + filepath.Join(b.dir, "password")}
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	require.NoError(b.t, err, "restic %v\n%s", args, said.String())
	return out
}

// plan writes a job.
func (b *jobs) plan(name string) restic.Job {
	b.t.Helper()
	j := restic.Job{ProtocolVersion: "1", Name: name, Repository: filepath.Join(b.dir, "repository-"+name), PasswordFile: filepath.Join(b.dir, "password"),
		Paths: []string{filepath.Join(b.dir, "data")}, Host: "forge", RPO: "1d"}
	text, err := j.Write()
	require.NoError(b.t, err)
	b.file("plans/"+name+".json", string(text))
	return j
}

// good makes a snapshot of some time ago, and a record that calls it good.
func (b *jobs) good(j restic.Job, ago time.Duration) {
	b.t.Helper()
	at := today.Add(-ago)
	if _, err := os.Stat(j.Repository); err != nil {
		require.NoError(b.t, restictest.Make(j.Repository))
	}
	b.restic(j.Repository, "backup", "--quiet", "--host=forge", "--tag=stateward.job="+j.Name, "--time="+at.Format("2006-01-02 15:04:05"), j.Paths[0])
	list, err := restic.ParseSnapshots(b.restic(j.Repository, "snapshots", "--json"))
	require.NoError(b.t, err)
	s := list[len(list)-1]
	last := execbackup.Last{Started: at, Ended: at.Add(time.Minute), Outcome: restic.Complete}
	text, err := json.Marshal(execbackup.Record{ProtocolVersion: "1", Job: j.Name, LastRun: &last,
		LastGood: &execbackup.Good{Time: at, Snapshot: s.ID, Files: s.Summary.Files, Bytes: s.Summary.Bytes, Host: j.Host, Paths: j.Paths}})
	require.NoError(b.t, err)
	b.file("state/"+j.Name+".json", string(text))
}

func (b *jobs) status(args ...string) result {
	b.t.Helper()
	r := b.run(append([]string{"backup", "status", "--restic", b.program, "--state-dir", filepath.Join(b.dir, "state"), "--timeout", "20s"}, args...)...)
	require.NotContains(b.t, r.stdout+r.stderr, "nobody sees")
	return r
}

// run is a run of the command that has a home.
func (b *jobs) run(args ...string) result {
	var out, errs bytes.Buffer
	status := Main(context.Background(), args, Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Now: func() time.Time { return today },
		Getenv: func(name string) string { return map[string]string{"HOME": b.dir, "PATH": os.Getenv("PATH")}[name] }})
	return result{status, out.String(), errs.String()}
}

var (
	snapshotID  = regexp.MustCompile(`newest [0-9a-f]{8}`)
	statusBlock = regexp.MustCompile("(?s)<!-- made by internal/cli/backupstatus_test.go -->\n```console\n(.*?)```\n")
	addedSize   = regexp.MustCompile(`; [0-9.]+ [KMGi]*B added`)
)

// What docs/backup.md shows of the status of jobs is what is printed.
func TestDocsShowBackupStatus(t *testing.T) {
	for _, program := range restics(t) {
		b := newJobs(t, program)
		j := b.plan("paperless")
		b.good(j, 30*time.Hour)
		b.file("data/c", strings.Repeat("c", 2000))
		b.good(j, 9*time.Hour)
		b.good(b.plan("photos"), 75*time.Hour)
		require.NoError(t, b.wrong(b.plan("music")))
		r := b.status("--plan-dir", filepath.Join(b.dir, "plans"))
		require.Equal(t, StatusStep, r.status, r.stderr)
		got := snapshotID.ReplaceAllString(r.stdout, "newest 5dd84a12")
		got = addedSize.ReplaceAllString(got, "; 2.1 KiB added")
		got = strings.ReplaceAll(got, b.dir, "")
		file := filepath.Join(repository, "docs/backup.md")
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Len(t, statusBlock.FindAll(text, -1), 1)
		golden.Compare(t, file, statusBlock.ReplaceAllLiteral(text, fmt.Appendf(nil, "<!-- made by internal/cli/backupstatus_test.go -->\n```console\n$ stateward backup status --plan-dir /etc/stateward/backup\n%s```\n", got)))
	}
}

// wrong gives the repository of a job another password than the one that the job has.
func (b *jobs) wrong(j restic.Job) error {
	b.file("another", "x\n")
	b.restic(j.Repository, "init", "--quiet", "--password-file", filepath.Join(b.dir, "another"))
	return os.Remove(filepath.Join(b.dir, "another"))
}

func TestBackupStatusExitStatus(t *testing.T) {
	b := newJobs(t, restics(t)[0])
	j := b.plan("paperless")
	b.good(j, time.Hour)
	plan := filepath.Join(b.dir, "plans/paperless.json")
	require.Equal(t, StatusUsage, b.status().status)
	require.Equal(t, StatusOK, b.status("--plan", plan).status)
	require.Equal(t, StatusEvaluation, b.status("--plan-dir", filepath.Join(b.dir, "state", "none")).status)
	require.Equal(t, StatusEvaluation, b.status("--plan-dir", filepath.Join(b.dir, "data")).status, "no job at all is not fine")
	b.good(j, 26*time.Hour)
	require.Equal(t, StatusFindings, b.status("--plan", plan).status)

	// One job that cannot be read hides no other.
	b.file("plans/broken.json", "{")
	r := b.status("--plan-dir", filepath.Join(b.dir, "plans"), "-o", "json")
	require.Equal(t, StatusEvaluation, r.status)
	var out BackupStatusOutput
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &out))
	require.Len(t, out.Unread, 1)
	require.Equal(t, execbackup.Faulty, out.Jobs[0].State)

	require.NoError(t, os.RemoveAll(j.Repository))
	r = b.status("--plan", plan)
	require.Equal(t, StatusStep, r.status)
	require.Contains(t, r.stdout, "paperless: unknown\n  repository: no repository: ")
	require.NoDirExists(t, j.Repository)
}
