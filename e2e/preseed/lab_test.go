//go:build e2e

package preseed_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/restictest"
	"github.com/stateward/stateward/preseed"
)

// This file is that of both e2e/preseed and e2e/preseedfaults, which run side by side.

const (
	app    = "/srv/app"
	name   = "tank/app"
	staged = "tank/stateward-staging/app"
	was    = "tank/stateward-staging/app-was"
	state  = "/srv/state"
)

func try(args ...string) (string, error) {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	return strings.TrimRight(string(out), "\n"), err
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := try(args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func write(t *testing.T, file, text string) {
	t.Helper()
	os.MkdirAll(filepath.Dir(file), 0o755)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fresh destroys what there is, and makes an empty dataset.
func fresh(t *testing.T) {
	t.Helper()
	try("systemctl", "stop", "app.service")
	for _, dir := range []string{"/run/stateward/preseed/app/at", app} {
		for range strings.Count(read(t, "/proc/self/mounts"), " "+dir+" ") {
			try("umount", dir)
		}
	}
	for _, d := range strings.Fields(must(t, "zfs", "list", "-H", "-d", "1", "-o", "name", "tank", "back")) {
		if d != "tank" && d != "back" {
			must(t, "zfs", "destroy", "-R", "-f", d)
		}
	}
	for _, dir := range []string{state, "/srv/wrap", "/srv/points", "/srv/pid", app, "/run/stateward"} {
		os.RemoveAll(dir)
	}
	must(t, "zfs", "create", "-o", "mountpoint="+app, "-o", "recordsize=16K", "-o", "mine:note=kept", name)
}

// plan writes a plan, and returns its file.
func plan(t *testing.T, change ...func(*preseed.Plan)) string {
	t.Helper()
	p := document(change...)
	text, err := p.Write()
	if err != nil {
		t.Fatal(err)
	}
	write(t, "/srv/plan.json", string(text))
	return "/srv/plan.json"
}

func document(change ...func(*preseed.Plan)) preseed.Plan {
	p := preseed.Plan{Name: "app", Service: "app", Units: []string{"app.service"}, Dataset: name, Mountpoint: app, OnNoBackup: preseed.Refuse, ProtocolVersion: preseed.FormatVersion,
		Properties: map[string]string{"compression": "zstd"}, Sources: []preseed.Source{{Kind: preseed.Local}}, Timeout: "20s"}
	for _, c := range change {
		c(&p)
	}
	return p
}

func from(list ...preseed.Source) func(*preseed.Plan) {
	return func(p *preseed.Plan) { p.Sources = list }
}

var (
	local   = preseed.Source{Kind: preseed.Local}
	replica = preseed.Source{Kind: preseed.Replica, From: "back/app"}
	backup  = preseed.Source{Kind: preseed.Restic, Job: "/srv/job.json"}
)

// run runs a plan. The status is -1 where it was killed.
func run(t *testing.T, verb, file string, more ...string) (preseed.Outcome, string, int) {
	t.Helper()
	args := append([]string{"-c", `echo $$ >/srv/pid; exec /mnt/bin/stateward preseed "$@"`, "sh", verb, file, "--state-dir", state}, more...)
	cmd := exec.Command("/bin/sh", args...)
	cmd.Env = append(os.Environ(), "PATH=/srv/wrap:"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	status := cmd.ProcessState.ExitCode()
	var rec struct{ Outcome preseed.Outcome }
	if status >= 0 {
		text, _ := os.ReadFile(state + "/app/newest.json")
		json.Unmarshal(text, &rec)
	}
	return rec.Outcome, string(out), status
}

func ends(t *testing.T, want preseed.Outcome, status int, says, file string, more ...string) string {
	t.Helper()
	got, out, code := run(t, "run", file, more...)
	if got != want || code != status || !strings.Contains(out, says) {
		t.Fatalf("it ended as %s with status %d, want %s with %d and %q\n%s", got, code, want, status, says, out)
	}
	return out
}

// guids are those of all there is, by name; a name may change.
func guids(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, line := range strings.Split(must(t, "zfs", "list", "-Hp", "-t", "all", "-o", "guid,name"), "\n") {
		guid, name, _ := strings.Cut(line, "\t")
		out[guid] = name
	}
	return out
}

// kept fails where anything that was there is gone.
func kept(t *testing.T, before map[string]string) {
	t.Helper()
	after := guids(t)
	for guid, name := range before {
		if after[guid] == "" {
			t.Errorf("%s (%s) is gone", name, guid)
		}
	}
}

// restored looks whether it is all there, mounted, and as it was declared.
func restored(t *testing.T, text string) {
	t.Helper()
	if got := read(t, app+"/file"); got != text {
		t.Errorf("it holds %q, want %q", got, text)
	}
	mounts := read(t, "/proc/self/mounts")
	if last := mounts[:strings.LastIndex(mounts, " "+app+" ")+1]; !strings.HasSuffix(last, "\n"+name+" ") {
		t.Errorf("what is mounted on %s is not %s:\n%s", app, name, mounts)
	}
	value, source := map[string]string{}, map[string]string{}
	for _, line := range strings.Split(must(t, "zfs", "get", "-H", "-o", "property,value,source",
		"canmount,mountpoint,compression,recordsize,mine:note,stateward:preseed-staging,readonly,guid,stateward:preseed", name), "\n") {
		f := strings.Split(line, "\t")
		value[f[0]], source[f[0]] = f[1], f[2]
	}
	var got []string
	for _, p := range []string{"canmount", "mountpoint", "compression", "recordsize", "mine:note", "stateward:preseed-staging", "readonly"} {
		got = append(got, value[p])
	}
	if want := []string{"on", app, "zstd", "16K", "kept", "-", "off"}; !slices.Equal(got, want) && got[2] != "on" && got[2] != "lz4" {
		t.Errorf("its properties are %q, want %q", got, want)
	}
	if m := value["stateward:preseed"]; source["stateward:preseed"] != "local" || !strings.HasPrefix(m, value["guid"]+" ") {
		t.Errorf("its marker is %q, %s, and its guid %s", m, source["stateward:preseed"], value["guid"])
	}
	if list, _ := try("zfs", "list", "-H", "-o", "name", "-r", "tank/stateward-staging"); strings.Contains(list, "app\n") || strings.HasSuffix(list, "app") {
		t.Errorf("staged is still %s", list)
	}
	if strings.Contains(mounts, "/run/stateward") {
		t.Errorf("mounts are left:\n%s", mounts)
	}
	if files, _ := filepath.Glob(state + "/*.journal.json"); len(files) > 0 {
		t.Errorf("journals are left: %q", files)
	}
}

// cut snapshots the dataset with a text in it, and empties it.
func cut(t *testing.T, snapshot, text string) {
	t.Helper()
	write(t, app+"/file", text)
	must(t, "zfs", "snapshot", name+"@"+snapshot)
	os.Remove(app + "/file")
}

func sendTo(t *testing.T, text string) {
	t.Helper()
	must(t, "zfs", "create", "-o", "mountpoint=/srv/replica", "back/app")
	write(t, "/srv/replica/file", text)
	must(t, "zfs", "snapshot", "back/app@one")
	must(t, "zfs", "unmount", "back/app")
}

var passwords = "/srv/password"

// job backs a text up, of a snapshot mounted as the runs of backups do it.
func job(t *testing.T, text string) restic.Job {
	t.Helper()
	j := restic.Job{ProtocolVersion: "1", Name: "apps", Repository: "/srv/repository", PasswordFile: passwords, Host: "forge", Paths: []string{app},
		Source: []restic.Dataset{{Name: name, Mountpoint: app}}}
	data, err := j.Write()
	if err != nil {
		t.Fatal(err)
	}
	write(t, "/srv/job.json", string(data))
	write(t, passwords, "SECRET-CANARY\n")
	os.RemoveAll("/srv/repository")
	os.RemoveAll("/srv/backup-state")
	// e2e/backup has restic make one.
	if err := restictest.Make("/srv/repository"); err != nil {
		t.Fatal(err)
	}
	if text != "" {
		write(t, app+"/file", text)
		os.Chown(app, 1, 1)
		os.Chmod(app, 0o750)
		must(t, "/mnt/bin/stateward", "backup", "run", "--plan", "/srv/job.json", "--state-dir", "/srv/backup-state")
		os.Remove(app + "/file")
		os.Chown(app, 0, 0)
		os.Chmod(app, 0o755)
	}
	return j
}
