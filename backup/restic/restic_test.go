package restic_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/nixtest"
)

func sample() restic.Job {
	return restic.Job{
		ProtocolVersion: "1", Name: "paperless", Repository: "sftp:backup@nas:/srv/restic", PasswordFile: "/run/secrets/restic", EnvironmentFile: "/run/secrets/env",
		Paths: []string{"/var/lib/paperless", "/srv/scans"}, Exclude: []string{"/var/lib/paperless/cache", "*.tmp", "!/srv/scans/keep.tmp"}, Tags: []string{"documents"}, Host: "forge",
		Retention: restic.Retention{ResticPolicy: backup.ResticPolicy{Daily: 7, Weekly: 5}}, Prune: true, CheckSubset: "5%", Limits: restic.Limits{Upload: 2000, ReadConcurrency: 4},
	}
}

func fromSnapshot() restic.Job {
	j := sample()
	j.Source = []restic.Dataset{{Name: "tank/paperless", Mountpoint: "/var/lib/paperless"}, {Name: "tank/scans", Mountpoint: "/srv"}}
	return j
}

var common = []string{"--json", "--repo=sftp:backup@nas:/srv/restic", "--password-file=/run/secrets/restic", "--retry-lock=10m0s", "--limit-upload=2000"}

func vector(command string, rest ...string) []string {
	return slices.Concat([]string{command}, common, rest)
}

func TestBackupArgs(t *testing.T) {
	want := vector("backup", "--host=forge", "--group-by=host,paths", "--tag=stateward.job=paperless", "--tag=documents",
		"--exclude=/var/lib/paperless/cache", "--exclude=*.tmp", "--exclude=!/srv/scans/keep.tmp", "--read-concurrency=4", "--", "/var/lib/paperless", "/srv/scans")
	require.Empty(t, cmp.Diff(want, sample().BackupArgs()))
}

// Without tags, restic would compare with what another job made of the same paths, and that of this one would never be made.
func TestR4UnchangedIsComparedWithTheJobItself(t *testing.T) {
	j := sample()
	require.Contains(t, j.BackupArgs(), "--group-by=host,paths")
	j.SkipIfUnchanged = true
	require.Contains(t, j.BackupArgs(), "--group-by=host,paths,tags")
	text, err := j.Stock(daily, 0)
	require.NoError(t, err)
	require.Contains(t, text, `"--group-by=host,paths,tags"`)
}

func TestR7ExcludesAreRerootedForASnapshot(t *testing.T) {
	root := "/run/stateward/backup/paperless"
	want := vector("backup", "--host=forge", "--group-by=host,paths", "--tag=stateward.job=paperless", "--tag=stateward.root="+root, "--tag=documents",
		"--exclude="+root+"/var/lib/paperless/cache", "--exclude=*.tmp", "--exclude=!"+root+"/srv/scans/keep.tmp", "--read-concurrency=4", "--", root+"/var/lib/paperless", root+"/srv/scans")
	require.Empty(t, cmp.Diff(want, fromSnapshot().BackupArgs()))
}

func TestR4ForgetIsScoped(t *testing.T) {
	want := vector("forget", "--host=forge", "--tag=stateward.job=paperless,documents", "--path=/var/lib/paperless", "--path=/srv/scans",
		"--group-by=host,paths", "--keep-daily=7", "--keep-weekly=5")
	require.Empty(t, cmp.Diff(want, sample().ForgetArgs(false)))
	j := sample()
	j.Retention, j.Prune = restic.Retention{}, false
	require.Nil(t, j.ForgetArgs(false), "no policy forgets nothing")
	j.Retention.GroupBy = &backup.GroupBy{Tags: true}
	require.ErrorContains(t, j.Validate(), "groups without host and paths")
}

func TestR3OnlyInitInitialises(t *testing.T) {
	j := sample()
	require.Equal(t, "init", j.InitArgs()[0])
	back, err := j.RestoreArgs(restic.Restore{Snapshot: "latest", Path: "/srv/scans", Target: "/scratch"})
	require.NoError(t, err)
	for _, args := range [][]string{j.BackupArgs(), j.ForgetArgs(false), j.PruneArgs(), j.CheckArgs(), j.UnlockArgs(), j.SnapshotsArgs(), back} {
		require.NotContains(t, args, "init")
	}
}

func TestR6UnlockTakesStaleLocksOnly(t *testing.T) {
	require.Equal(t, []string{"unlock", "--repo=sftp:backup@nas:/srv/restic", "--password-file=/run/secrets/restic", "--limit-upload=2000"}, sample().UnlockArgs())
}

func TestCheckArgs(t *testing.T) {
	require.Empty(t, cmp.Diff(vector("check", "--read-data-subset=5%"), sample().CheckArgs()))
	j := sample()
	j.CheckSubset = "0"
	require.Empty(t, cmp.Diff(vector("check"), j.CheckArgs()))
}

func TestR2R5Restore(t *testing.T) {
	root, before := "/run/stateward/backup/paperless", ""
	for _, tc := range []struct {
		name string
		job  restic.Job
		r    restic.Restore
		want []string
	}{
		{"what was read as it was", sample(), restic.Restore{Snapshot: "0123abcd", Path: "/var/lib/paperless", Target: "/scratch"},
			vector("restore", "--target=/scratch", "--overwrite=never", "--", "0123abcd:/var/lib/paperless")},
		{"a snapshot of a file system", fromSnapshot(), restic.Restore{Snapshot: "0123abcd", Path: "/var/lib/paperless/media", Target: "/scratch", Verify: true, Sparse: true},
			vector("restore", "--target=/scratch", "--overwrite=never", "--verify", "--sparse", "--", "0123abcd:"+root+"/var/lib/paperless/media")},
		{"one from before snapshots were taken", fromSnapshot(), restic.Restore{Snapshot: "0123abcd", Path: "/srv/scans", Target: "/scratch", Root: &before},
			vector("restore", "--target=/scratch", "--overwrite=never", "--", "0123abcd:/srv/scans")},
		{"the latest", fromSnapshot(), restic.Restore{Snapshot: "latest", Path: "/srv/scans", Target: "/scratch"},
			vector("restore", "--host=forge", "--tag=stateward.job=paperless,stateward.root="+root+",documents", "--path="+root+"/var/lib/paperless", "--path="+root+"/srv/scans",
				"--target=/scratch", "--overwrite=never", "--", "latest:"+root+"/srv/scans")},
		{"a file", sample(), restic.Restore{Snapshot: "0123abcd", Path: "/srv/scans/a*b.pdf", Target: "/scratch", File: true},
			vector("restore", `--include=/a\*b.pdf`, "--target=/scratch", "--overwrite=never", "--", "0123abcd:/srv/scans")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.job.RestoreArgs(tc.r)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(tc.want, got))
		})
	}
	for name, r := range map[string]restic.Restore{
		"an option as a snapshot": {Snapshot: "--delete", Path: "/srv/scans", Target: "/scratch"},
		"another's path":          {Snapshot: "0123abcd", Path: "/srv/scansmore", Target: "/scratch"},
		"a way out":               {Snapshot: "0123abcd", Path: "/srv/scans/../..", Target: "/scratch"},
		"the root as target":      {Snapshot: "0123abcd", Path: "/srv/scans", Target: "/"},
		"a relative target":       {Snapshot: "0123abcd", Path: "/srv/scans", Target: "scratch"},
	} {
		_, err := sample().RestoreArgs(r)
		var e *restic.RestoreError
		require.ErrorAs(t, err, &e, name)
	}
}

func TestR1Outcomes(t *testing.T) {
	want := map[int]restic.Outcome{0: restic.Complete, 1: restic.Failed, 2: restic.Crashed, 3: restic.Incomplete, 10: restic.NoRepository, 11: restic.Locked,
		12: restic.WrongPassword, 130: restic.Interrupted, -1: restic.Killed, 4: restic.Failed, 99: restic.Failed}
	for code, outcome := range want {
		require.Equal(t, outcome, restic.OutcomeOf(code), "%d", code)
		require.Contains(t, restic.Outcomes(), outcome)
		require.Equal(t, code == 0, outcome == restic.Complete)
	}
}

func TestVersions(t *testing.T) {
	for text, want := range map[string]string{
		"restic 0.18.0 compiled with go1.24.4 on linux/amd64":             "",
		"restic 0.19.1 compiled with go1.26.4 on linux/amd64\n":           "",
		"restic 1.0 compiled with go1.26.4 on linux/amd64":                "",
		"restic 0.18.0-dev (compiled manually) compiled with go1.24.4 on": "",
		"restic 0.14.0 compiled with go1.19.8 on linux/amd64":             "restic is version 0.14.0, which does not tell a missing repository from a wrong password",
		"rustic 0.9.5": `what says it is restic calls its version "rustic 0.9.5"`,
		"":             `what says it is restic calls its version ""`,
	} {
		_, err := restic.ParseVersion(text)
		if want == "" {
			require.NoError(t, err, text)
			continue
		}
		require.EqualError(t, err, want)
	}
}

func TestRepositories(t *testing.T) {
	for _, tc := range []struct {
		text, scheme, host string
		place              restic.Place
	}{
		{"/srv/restic", "local", "", restic.Local},
		{"/srv/a:b", "local", "", restic.Local},
		{"local:/srv/restic", "local", "", restic.Local},
		{"sftp:backup@nas:/srv/restic", "sftp", "nas", restic.Remote},
		{"sftp:nas:restic", "sftp", "nas", restic.Remote},
		{"sftp://backup@nas:2222//srv/restic", "sftp", "nas", restic.Remote},
		{"sftp://backup@[fe80::1]:22//srv", "sftp", "fe80::1", restic.Remote},
		{"rest:https://backup.example.org:8000/forge/", "rest", "backup.example.org", restic.Remote},
		{"rest:http://127.0.0.1:8000/", "rest", "127.0.0.1", restic.Loopback},
		{"rest:http://[::1]:8000/", "rest", "::1", restic.Loopback},
		{"rest:http+unix:///run/rest.sock:/forge/", "rest", "localhost", restic.Loopback},
		{"s3:s3.amazonaws.com/bucket", "s3", "s3.amazonaws.com", restic.Remote},
		{"s3:https://minio.example.org:9000/bucket/forge", "s3", "minio.example.org", restic.Remote},
		{"s3:http://localhost:9000/bucket", "s3", "localhost", restic.Loopback},
		{"b2:bucket:forge", "b2", "", restic.Remote},
		{"azure:container:/", "azure", "", restic.Remote},
		{"gs:bucket:/", "gs", "", restic.Remote},
		{"swift:container:/path", "swift", "", restic.Remote},
		{"rclone:box:forge", "rclone", "", restic.UnknownPlace},
	} {
		r, err := restic.ParseRepository(tc.text)
		require.NoError(t, err, tc.text)
		require.Equal(t, []any{tc.scheme, tc.host, tc.place, tc.text, false}, []any{r.Scheme, r.Host, r.Place(), r.String(), r.HasSecret()}, tc.text)
	}
	for _, bad := range []string{"", "relative/folder", "local:relative", "sftp:nas", "sftp:", "sftp:backup@[fe80::1]:/srv", "rest:nas", "rest:ftp://nas/", "s3:", "s3:https://host", "b2:", "rclone:box", "ftp:host:/x", " /srv", "/srv\n"} {
		_, err := restic.ParseRepository(bad)
		require.Error(t, err, bad)
	}
}

func TestR11NoPasswordInARepository(t *testing.T) {
	for text, shown := range map[string]string{
		"rest:https://me:canary-secret@host/":         "rest:https://me:***@host/",
		"rest:https://me:canary%40secret@host:8000/x": "rest:https://me:***@host:8000/x",
		"sftp://me:canary-secret@host//srv":           "sftp://me:***@host//srv",
		"s3:https://key:canary-secret@host/bucket":    "s3:https://key:***@host/bucket",
	} {
		r, err := restic.ParseRepository(text)
		require.NoError(t, err)
		require.True(t, r.HasSecret())
		require.Equal(t, shown, r.String())
		j := sample()
		j.Repository = text
		err = j.Validate()
		require.ErrorContains(t, err, "has a password in it")
		require.NotContains(t, err.Error(), "canary")
	}
}

func FuzzRepository(f *testing.F) {
	for _, s := range []string{"/srv", "sftp:u@h:/x", "rest:https://u:p@h/", "s3:h/b", "rclone:a:b", "sftp:[::1]:/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := restic.ParseRepository(text)
		if err != nil {
			return
		}
		_ = r.Place()
		if !r.HasSecret() && r.String() != text {
			t.Errorf("%q is shown as %q", text, r.String())
		}
	})
}

func TestJobsThatAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*restic.Job)
		want   string
	}{
		{"another version", func(j *restic.Job) { j.ProtocolVersion = "2" }, "protocolVersion"},
		{"a name that is a path", func(j *restic.Job) { j.Name = "a/b" }, "is no name"},
		{"the file of another job", func(j *restic.Job) { j.Name = "paperless.units" }, "files that another job needs"},
		{"a name that is no name", func(j *restic.Job) { j.Name = ".." }, "is no name"},
		{"no repository", func(j *restic.Job) { j.Repository = "" }, "repository is missing"},
		{"two repositories", func(j *restic.Job) { j.RepositoryFile = "/x" }, "given twice"},
		{"no password", func(j *restic.Job) { j.PasswordFile, j.EnvironmentFile = "", "" }, "passwordFile is missing"},
		{"a relative path", func(j *restic.Job) { j.Paths = []string{"srv"} }, "is no absolute path"},
		{"a path twice", func(j *restic.Job) { j.Paths = []string{"/srv", "/srv"} }, "twice"},
		{"a way out", func(j *restic.Job) { j.Paths = []string{"/srv/.."} }, "shortest form"},
		{"no paths", func(j *restic.Job) { j.Paths = nil }, "paths is empty"},
		{"an open bracket", func(j *restic.Job) { j.Exclude = []string{"[a"} }, "is no pattern"},
		{"an empty pattern", func(j *restic.Job) { j.Exclude = []string{""} }, "is no pattern"},
		{"two tags in one", func(j *restic.Job) { j.Tags = []string{"a,b"} }, "is no tag"},
		{"another job's tag", func(j *restic.Job) { j.Tags = []string{"stateward.job=other"} }, "stateward's own"},
		{"no host", func(j *restic.Job) { j.Host = "" }, "host is no name"},
		{"a prune of nothing", func(j *restic.Job) { j.Retention = restic.Retention{} }, "nothing is ever forgotten"},
		{"a subset of more than all", func(j *restic.Job) { j.CheckSubset = "8/7" }, "checkSubset"},
		{"an age that no run reaches", func(j *restic.Job) { j.RPO = "0" }, `rpo is "0": the last good run is always older`},
		{"no age in units", func(j *restic.Job) { j.RPO = "0h 0min" }, `rpo is "0h 0min"`},
		{"a limit that is none", func(j *restic.Job) { j.Limits.Memory = "much" }, "limits.memory"},
		{"a limit with a specifier", func(j *restic.Job) { j.Limits.CPU = "50%%" }, "limits.cpu"},
		{"a path on no dataset", func(j *restic.Job) { j.Source = []restic.Dataset{{Name: "tank/x", Mountpoint: "/srv"}} }, "lies on no dataset"},
		{"a unit that is none", func(j *restic.Job) { j.StopUnits = []string{"a b.service"} }, "which is no unit"},
		{"a unit without a kind", func(j *restic.Job) { j.StopUnits = []string{"db"} }, "which is no unit"},
		{"an option for a unit", func(j *restic.Job) { j.StopUnits = []string{"--all.service"} }, "which is no unit"},
		{"its own unit", func(j *restic.Job) { j.StopUnits = []string{"stateward-backup-paperless.service"} }, "the unit of the job itself"},
		{"a unit twice", func(j *restic.Job) { j.StopUnits = []string{"a.service", "a.service"} }, "twice"},
		{"a dump elsewhere", func(j *restic.Job) { j.Dump = &restic.Dump{Command: "x", Directory: "/var/backup"} }, "is not backed up"},
		{"a dump of nothing", func(j *restic.Job) { j.Dump = &restic.Dump{Command: " ", Directory: "/srv/scans"} }, "dump.command is empty"},
		{"a hook of bytes", func(j *restic.Job) { j.PreHook = "a\x00" }, "preHook is no text"},
		{"two pools", func(j *restic.Job) {
			j.Source = []restic.Dataset{{Name: "tank/x", Mountpoint: "/srv"}, {Name: "tank2/x", Mountpoint: "/var"}}
		}, "two pools"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j := sample()
			tc.change(&j)
			require.ErrorContains(t, j.Validate(), tc.want)
		})
	}
	for _, s := range []string{"0", "5%", "0.5%", "100%", "2G", "500", "1/7", "7/7", "3/256"} {
		j := sample()
		j.CheckSubset = s
		require.NoError(t, j.Validate(), s)
	}
	for _, s := range []string{"0%", "101%", "5", "x", "1/0", "0/5", "-1", "5.%", "G", "%"} {
		if s == "5" {
			continue // five bytes
		}
		j := sample()
		j.CheckSubset = s
		require.Error(t, j.Validate(), s)
	}
}

// Of several faults it is always the same that is said.
func TestFaultsOfAJobAreSaidInOrder(t *testing.T) {
	j := sample()
	j.PasswordFile, j.EnvironmentFile, j.MetricsDir, j.LockWait, j.RPO = "a", "b", "c", "x", "y"
	j.Limits.Memory, j.Limits.CPU, j.Limits.RunTime = "m", "c", "z"
	said := map[string]bool{}
	for range 30 {
		said[j.Validate().Error()] = true
	}
	j.PasswordFile, j.EnvironmentFile, j.MetricsDir = "/a", "/b", "/c"
	for range 30 {
		said[j.Validate().Error()] = true
	}
	j.LockWait, j.RPO, j.Limits.RunTime = "", "", ""
	for range 30 {
		said[j.Validate().Error()] = true
	}
	require.Len(t, said, 3)
}

func TestJobsThatCannotBeRead(t *testing.T) {
	whole, err := sample().Write()
	require.NoError(t, err)
	for _, tc := range []struct{ old, changed, want, hint string }{
		{`"prune": true`, `"prune": "yes"`, `backup job "paperless": line `, ""},
		{`"paths": [`, `"path": [`, `"path" is no field`, `write "paths"`},
		{`--keep-daily=7`, `--keep-dayly=7`, `backup job "paperless": retention has "--keep-dayly=7", which says nothing of what is kept`, `write "--keep-daily"`},
		{`--keep-daily=7`, `--prune`, `retention has "--prune"`, `write "prune": true beside it`},
		{`--keep-daily=7`, `--keep-daily=x`, `backup job "paperless": retention is wrong: `, ""},
		{`"--keep-daily=7"`, `7`, `backup job "paperless": retention is no list of texts`, `write "retention": ["--keep-daily=7"]`},
	} {
		require.Contains(t, string(whole), tc.old)
		_, err := restic.ReadJob([]byte(strings.Replace(string(whole), tc.old, tc.changed, 1)))
		require.ErrorContains(t, err, tc.want)
		require.NotContains(t, err.Error(), "json: ")
		var h interface{ Hint() string }
		require.ErrorAs(t, err, &h)
		require.Equal(t, tc.hint, h.Hint())
	}
}

func TestR10JobsAreReadBackWhole(t *testing.T) {
	quiet := sample()
	quiet.PreHook, quiet.PostHook, quiet.StopUnits = "echo \"<a>\"\ntrue", "true", []string{"db.service"}
	quiet.Dump = &restic.Dump{Command: "pg_dumpall >/srv/scans/dump", Directory: "/srv/scans"}
	for _, j := range []restic.Job{sample(), fromSnapshot(), quiet} {
		text, err := j.Write()
		require.NoError(t, err)
		got, err := restic.ReadJob(text)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(j, got))
		_, err = restic.ReadJob([]byte(strings.Replace(string(text), `"prune"`, `"pruning"`, 1)))
		require.ErrorContains(t, err, "pruning")
		_, err = restic.ReadJob([]byte(strings.Replace(string(text), "--keep-daily=7", "--dry-run", 1)))
		require.ErrorContains(t, err, "says nothing of what is kept")
		_, err = restic.ReadJob(append(text, '{'))
		require.ErrorContains(t, err, "there is more")
	}
}

// analyzers are those of STATEWARD_TEST_SYSTEMD, or the one of the machine.
func analyzers() []string {
	if list := os.Getenv("STATEWARD_TEST_SYSTEMD"); list != "" {
		return filepath.SplitList(list)
	}
	return []string{"systemd-analyze"}
}

var daily = restic.Timer{OnCalendar: []string{"daily", "Mon..Fri 12:00"}, RandomizedDelay: "30min", Accuracy: "1s", Persistent: true}

func TestUnitsAreAccepted(t *testing.T) {
	odd := sample()
	odd.Name, odd.Paths = "odd-1.2_3", []string{"/srv/with blank", `/srv/per%cent $HOME "q" back\slash`, "/srv/ü"}
	odd.Limits = restic.Limits{Memory: "2G", CPU: "50%", RunTime: "6h", Nice: 10}
	odd.StopUnits = []string{`a-b\x2dc@1.service`, "db.socket"}
	odd.Notify = backup.Notify{OnStart: "failure", OnSuccess: "failure", OnFailure: "failure"}
	local := fromSnapshot()
	local.Name, local.Repository = "local", "/srv/restic"
	for _, j := range []restic.Job{sample(), odd, local} {
		service, err := j.Service(restic.UnitOptions{Stateward: "/bin/true", Plan: "/etc/stateward/with blank $x %n.json", Path: []string{"/usr/bin", "/bin"}, OnFailure: []string{"notify@%n.service"}})
		require.NoError(t, err)
		timer, err := j.TimerUnit(daily)
		require.NoError(t, err)
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, j.UnitName()+".service"), []byte(service), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, j.UnitName()+".timer"), []byte(timer), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "notify@.service"), []byte("[Service]\nType=oneshot\nExecStart=/bin/true\n"), 0o600))
		require.NoError(t, os.Symlink("notify@.service", filepath.Join(dir, backup.NotifyUnit("failure", ""))))
		for _, analyze := range analyzers() {
			cmd := exec.Command(analyze, "verify", "--man=no", filepath.Join(dir, j.UnitName()+".timer"), filepath.Join(dir, j.UnitName()+".service"))
			cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s\n%s", out, service)
			for line := range strings.Lines(string(out)) {
				require.NotContains(t, line, j.UnitName(), service)
			}
		}
	}
	_, err := sample().TimerUnit(restic.Timer{})
	require.ErrorContains(t, err, "no OnCalendar")
}

func TestR8UnitsWaitForTheMounts(t *testing.T) {
	j := sample()
	j.RequireMounted = []string{"/srv"}
	got, err := j.Service(restic.UnitOptions{Stateward: "/bin/stateward", Plan: "/etc/p.json"})
	require.NoError(t, err)
	require.Contains(t, got, "RequiresMountsFor=/srv /srv/scans /var/lib/paperless\n")
	require.Contains(t, got, "ExecStart=/bin/stateward backup run --plan /etc/p.json\n")
}

func TestE12UnitsTellOfTheirRuns(t *testing.T) {
	j := sample()
	j.Notify = backup.Notify{OnStart: "start", OnSuccess: "success", OnFailure: "critical"}
	text, err := j.Write()
	require.NoError(t, err)
	require.Contains(t, string(text), `"onFailure": "critical"`)
	j, err = restic.ReadJob(text)
	require.NoError(t, err)
	got, err := j.Service(restic.UnitOptions{Stateward: "/bin/stateward", Plan: "/etc/p.json"})
	require.NoError(t, err)
	require.Contains(t, got, "Wants=stateward-notify-start@%n.service\nOnSuccess=stateward-notify-success@%n.service\nOnFailure=stateward-notify-critical@%n.service\n")
	j.Notify.OnFailure = "failure"
	got, err = j.Service(restic.UnitOptions{Stateward: "/bin/stateward", Plan: "/etc/p.json"})
	require.NoError(t, err)
	require.Contains(t, got, "OnFailure=stateward-notify@%n.service\n")
	_, err = j.Stock(daily, 0)
	require.ErrorContains(t, err, "cannot have notify")
	j.Notify.OnFailure = "Failure@x"
	var e *restic.JobError
	require.ErrorAs(t, j.Validate(), &e)
	require.Equal(t, `backup job "paperless": notify onFailure is "Failure@x", which is no name of a template`, e.Error())
}

func TestStockEvaluates(t *testing.T) {
	j := sample()
	j.Exclude = append(j.Exclude, "*/$RECYCLE.BIN/${x}", `"''`)
	j.Tags = []string{"two words", "100%"}
	j.PreHook, j.PostHook = "pg_dump | gzip >/x\ntrue", "echo ${x}"
	text, err := j.Stock(daily, 0)
	require.NoError(t, err)
	want := map[string]any{
		"repository": "sftp:backup@nas:/srv/restic", "passwordFile": "/run/secrets/restic", "environmentFile": "/run/secrets/env", "initialize": false,
		"backupPrepareCommand": "set -euo pipefail\npg_dump | gzip >/x\ntrue", "backupCleanupCommand": "set -euo pipefail\necho ${x}",
		"paths":           []any{"/var/lib/paperless", "/srv/scans"},
		"exclude":         []any{"/var/lib/paperless/cache", "*.tmp", "!/srv/scans/keep.tmp", "*/$$RECYCLE.BIN/$${x}", `"''`},
		"extraBackupArgs": []any{"--host=forge", "--group-by=host,paths", "--retry-lock=10m0s", "--tag=stateward.job=paperless", `"--tag=two words"`, `"--tag=100%%"`, "--limit-upload=2000", "--read-concurrency=4"},
		"pruneOpts": []any{"--retry-lock=10m0s", "--host=forge", `"--tag=stateward.job=paperless,two words,100%%"`, "--path=/var/lib/paperless", "--path=/srv/scans", "--group-by=host,paths",
			"--keep-daily=7", "--keep-weekly=5"},
		"runCheck": true, "checkOpts": []any{"--retry-lock=10m0s", `"--read-data-subset=5%%"`},
		"timerConfig": map[string]any{"OnCalendar": []any{"daily", "Mon..Fri 12:00"}, "RandomizedDelaySec": "30min", "AccuracySec": "1s", "Persistent": true},
	}
	for _, nix := range nixtest.All(t) {
		var got map[string]any
		nix.JSON(t, text, &got)
		require.Empty(t, cmp.Diff(want, got), nix.Name)
	}
	var e *restic.StockError
	_, err = fromSnapshot().Stock(daily, 0)
	require.ErrorAs(t, err, &e)
	j.Exclude = []string{"#a"}
	_, err = j.Stock(daily, 0)
	require.ErrorAs(t, err, &e)
}
