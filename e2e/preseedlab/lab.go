//go:build e2e

// Package preseedlab is what e2e/preseed and e2e/preseedfaults, which run side by side, have in common: a dataset, plans for it, what its sources
// hold, and what a run of stateward preseed makes of it.
package preseedlab

import (
	"encoding/json"
	"errors"
	"fmt"
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

const (
	App    = "/srv/app"
	Name   = "tank/app"
	Staged = "tank/stateward-staging/app"
	Was    = "tank/stateward-staging/app-was"
	State  = "/srv/state"
)

func Try(args ...string) (string, error) {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	return strings.TrimRight(string(out), "\n"), err
}

func Must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := Try(args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func Write(t *testing.T, file, text string) {
	t.Helper()
	os.MkdirAll(filepath.Dir(file), 0o755)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func Read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Fresh destroys what there is, and makes an empty dataset.
func Fresh(t *testing.T) {
	t.Helper()
	Try("systemctl", "stop", "app.service")
	for _, dir := range []string{"/run/stateward/preseed/app/at", App} {
		for range strings.Count(Read(t, "/proc/self/mounts"), " "+dir+" ") {
			Try("umount", dir)
		}
	}
	for _, d := range strings.Fields(Must(t, "zfs", "list", "-H", "-d", "1", "-o", "name", "tank", "back")) {
		if d != "tank" && d != "back" {
			Must(t, "zfs", "destroy", "-R", "-f", d)
		}
	}
	for _, dir := range []string{State, "/srv/wrap", "/srv/points", "/srv/pid", App, "/run/stateward"} {
		os.RemoveAll(dir)
	}
	Must(t, "zfs", "create", "-o", "mountpoint="+App, "-o", "recordsize=16K", "-o", "mine:note=kept", Name)
}

// Plan writes a plan, and returns its file.
func Plan(t *testing.T, change ...func(*preseed.Plan)) string {
	t.Helper()
	p := Document(change...)
	text, err := p.Write()
	if err != nil {
		t.Fatal(err)
	}
	Write(t, "/srv/plan.json", string(text))
	return "/srv/plan.json"
}

func Document(change ...func(*preseed.Plan)) preseed.Plan {
	p := preseed.Plan{Name: "app", Service: "app", Units: []string{"app.service"}, Dataset: Name, Mountpoint: App, OnNoBackup: preseed.Refuse, ProtocolVersion: preseed.FormatVersion,
		Properties: map[string]string{"compression": "zstd"}, Sources: []preseed.Source{{Kind: preseed.Local}}, Timeout: "20s"}
	for _, c := range change {
		c(&p)
	}
	return p
}

func From(list ...preseed.Source) func(*preseed.Plan) {
	return func(p *preseed.Plan) { p.Sources = list }
}

var (
	Local   = preseed.Source{Kind: preseed.Local}
	Replica = preseed.Source{Kind: preseed.Replica, From: "back/app"}
	Backup  = preseed.Source{Kind: preseed.Restic, Job: "/srv/job.json"}
)

// Run runs a plan. The status is -1 where it was killed.
func Run(t *testing.T, verb, file string, more ...string) (preseed.Outcome, string, int) {
	t.Helper()
	args := append([]string{"-c", `echo $$ >/srv/pid; exec /mnt/bin/stateward preseed "$@"`, "sh", verb, file, "--state-dir", State}, more...)
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
		text, _ := os.ReadFile(State + "/app/newest.json")
		json.Unmarshal(text, &rec)
	}
	return rec.Outcome, string(out), status
}

func Ends(t *testing.T, want preseed.Outcome, status int, says, file string, more ...string) string {
	t.Helper()
	got, out, code := Run(t, "run", file, more...)
	if got != want || code != status || !strings.Contains(out, says) {
		t.Fatalf("it ended as %s with status %d, want %s with %d and %q\n%s", got, code, want, status, says, out)
	}
	return out
}

// Guids are those of all there is, by name; a name may change.
func Guids(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, line := range strings.Split(Must(t, "zfs", "list", "-Hp", "-t", "all", "-o", "guid,name"), "\n") {
		guid, name, _ := strings.Cut(line, "\t")
		out[guid] = name
	}
	return out
}

// Kept fails where anything that was there is gone.
func Kept(t *testing.T, before map[string]string) {
	t.Helper()
	after := Guids(t)
	for guid, name := range before {
		if after[guid] == "" {
			t.Errorf("%s (%s) is gone", name, guid)
		}
	}
}

// Restored looks whether it is all there, mounted, and as it was declared.
func Restored(t *testing.T, text string) {
	t.Helper()
	if got := Read(t, App+"/file"); got != text {
		t.Errorf("it holds %q, want %q", got, text)
	}
	mounts := Read(t, "/proc/self/mounts")
	if last := mounts[:strings.LastIndex(mounts, " "+App+" ")+1]; !strings.HasSuffix(last, "\n"+Name+" ") {
		t.Errorf("what is mounted on %s is not %s:\n%s", App, Name, mounts)
	}
	value, source := map[string]string{}, map[string]string{}
	for _, line := range strings.Split(Must(t, "zfs", "get", "-H", "-o", "property,value,source",
		"canmount,mountpoint,compression,recordsize,mine:note,stateward:preseed-staging,readonly,guid,stateward:preseed", Name), "\n") {
		f := strings.Split(line, "\t")
		value[f[0]], source[f[0]] = f[1], f[2]
	}
	var got []string
	for _, p := range []string{"canmount", "mountpoint", "compression", "recordsize", "mine:note", "stateward:preseed-staging", "readonly"} {
		got = append(got, value[p])
	}
	if want := []string{"on", App, "zstd", "16K", "kept", "-", "off"}; !slices.Equal(got, want) && got[2] != "on" && got[2] != "lz4" {
		t.Errorf("its properties are %q, want %q", got, want)
	}
	if m := value["stateward:preseed"]; source["stateward:preseed"] != "local" || !strings.HasPrefix(m, value["guid"]+" ") {
		t.Errorf("its marker is %q, %s, and its guid %s", m, source["stateward:preseed"], value["guid"])
	}
	if list, _ := Try("zfs", "list", "-H", "-o", "name", "-r", "tank/stateward-staging"); strings.Contains(list, "app\n") || strings.HasSuffix(list, "app") {
		t.Errorf("staged is still %s", list)
	}
	if strings.Contains(mounts, "/run/stateward") {
		t.Errorf("mounts are left:\n%s", mounts)
	}
	if files, _ := filepath.Glob(State + "/*.journal.json"); len(files) > 0 {
		t.Errorf("journals are left: %q", files)
	}
}

// Cut snapshots the dataset with a text in it, and empties it.
func Cut(t *testing.T, snapshot, text string) {
	t.Helper()
	Write(t, App+"/file", text)
	Must(t, "zfs", "snapshot", Name+"@"+snapshot)
	os.Remove(App + "/file")
}

func SendTo(t *testing.T, text string) {
	t.Helper()
	Must(t, "zfs", "create", "-o", "mountpoint=/srv/replica", "back/app")
	Write(t, "/srv/replica/file", text)
	Must(t, "zfs", "snapshot", "back/app@one")
	Must(t, "zfs", "unmount", "back/app")
}

var Passwords = "/srv/password"

// Job backs a text up, of a snapshot mounted as the runs of backups do it. That takes more than a hundred processes: where nothing else is in the dataset, the
// repository and the records are made once for each text, and copied after that. What restic has of a path does not depend on the dataset that was mounted there.
func Job(t *testing.T, text string) restic.Job {
	t.Helper()
	j := restic.Job{ProtocolVersion: "1", Name: "apps", Repository: "/srv/repository", PasswordFile: Passwords, Host: "forge", Paths: []string{App},
		Source: []restic.Dataset{{Name: Name, Mountpoint: App}}}
	data, err := j.Write()
	if err != nil {
		t.Fatal(err)
	}
	Write(t, "/srv/job.json", string(data))
	Write(t, Passwords, "SECRET-CANARY\n")
	os.RemoveAll("/srv/repository")
	os.RemoveAll("/srv/backup-state")
	there, err := os.ReadDir(App)
	if err != nil {
		t.Fatal(err)
	}
	made := fmt.Sprintf("/srv/made-%x", text)
	if _, err := os.Stat(made); err == nil && len(there) == 0 {
		Must(t, "cp", "-a", made+"/.", "/srv/")
		return j
	}
	// e2e/backup has restic make one.
	if err := restictest.Make("/srv/repository"); err != nil {
		t.Fatal(err)
	}
	if text != "" {
		Write(t, App+"/file", text)
		os.Chown(App, 1, 1)
		os.Chmod(App, 0o750)
		Must(t, "/mnt/bin/stateward", "backup", "run", "--plan", "/srv/job.json", "--state-dir", "/srv/backup-state")
		os.Remove(App + "/file")
		os.Chown(App, 0, 0)
		os.Chmod(App, 0o755)
		if len(there) == 0 {
			os.Mkdir(made, 0o755)
			Must(t, "cp", "-a", "/srv/repository", "/srv/backup-state", made+"/")
		}
	}
	return j
}
