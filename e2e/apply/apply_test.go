//go:build e2e

// Package apply_test runs `stateward dataset apply` and `stateward dataset drift` on the real ZFS: run it with scripts/e2e.
package apply_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/capture"
	"github.com/stateward/stateward/internal/exec/apply"
)

func TestMain(m *testing.M) {
	if os.Getenv(applying) != "" {
		os.Exit(applyChanged())
	}
	os.MkdirAll("/run/keys", 0o700)
	os.WriteFile("/run/keys/passphrase", []byte("correct horse\n"), 0o600)
	add("/etc/passwd", "sonarr:x:4990:4991::/:/bin/false\n")
	add("/etc/group", "media:x:4992:\n")
	os.Exit(m.Run())
}

func add(name, line string) {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	if _, err := f.WriteString(line); err != nil {
		panic(err)
	}
}

// fresh makes an empty pool, and a /srv without anything in it.
func fresh(t *testing.T) {
	t.Helper()
	if strings.Contains(mountinfo(t), " /srv ") {
		command(t, "umount", "-R", "/srv")
	}
	if _, err := os.Stat("/proc/spl/kstat/zfs/tank"); err == nil {
		command(t, "zpool", "destroy", "-f", "tank")
	}
	if err := os.RemoveAll("/srv"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("/srv", 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, "zpool", "create", "-f", "-O", "mountpoint=none", "tank", "/dev/ubdb")
}

func mountinfo(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(b), "\n")
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimRight(string(out), "\n")
}

// statewardCommand runs the command, and returns its exit status and what it prints.
func statewardCommand(env []string, args ...string) (status int, stdout, stderr string) {
	if args[0] == "dataset" {
		args = append(args, "--other-host") // the guest has none of their names
	}
	cmd := exec.Command("stateward", args...)
	cmd.Env = append(os.Environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), out.String(), errs.String()
	}
	if err != nil {
		return -2, out.String(), err.Error()
	}
	return 0, out.String(), errs.String()
}

type applied struct {
	Outcome   string
	Faults    []dataset.Fault
	Conflicts []dataset.Conflict
	Steps     []struct{ Op, Dataset, Text, State string }
	Left      []string
	Error     *struct{ Message, Hint string }
}

func (a applied) steps() []string {
	var list []string
	for _, s := range a.Steps {
		list = append(list, s.State+": "+s.Text)
	}
	return list
}

// applyHost applies a host, and expects this exit status.
func applyHost(t *testing.T, want int, host string, args ...string) applied {
	t.Helper()
	var a applied
	status, out, errs := statewardCommand(nil, slices.Concat([]string{"dataset", "apply", "testdata/hosts.json", "--host", host, "-o", "json", "-q"}, args)...)
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		t.Fatalf("status %d: %v\n%s\n%s", status, err, out, errs)
	}
	if status != want {
		t.Fatalf("status %d, want %d\n%s\n%s", status, want, out, errs)
	}
	return a
}

type drifted struct {
	Faults      []dataset.Fault
	Differences []dataset.Difference
	Undeclared  []dataset.Undeclared
	Unmounted   []dataset.Unmounted
}

// drift returns what differs, a line each, and expects the exit status that goes with it.
func drift(t *testing.T, host string) (lines []string, d drifted) {
	t.Helper()
	status, out, errs := statewardCommand(nil, "dataset", "drift", "testdata/hosts.json", "--host", host, "-o", "json", "-q")
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatalf("status %d: %v\n%s\n%s", status, err, out, errs)
	}
	for _, x := range d.Differences {
		then := "apply"
		if !x.Applies {
			then = "kept: " + x.Why
		}
		from := string(x.Source)
		if !x.From.IsZero() {
			from += " " + x.From.String()
		}
		found := x.Found
		if x.Unknown != "" {
			found = "unknown: " + x.Unknown
		}
		lines = append(lines, fmt.Sprintf("%s %s: %q, is %q (%s), %s", x.Dataset, x.What, x.Wanted, found, from, then))
	}
	want := 0
	if len(d.Differences)+len(d.Faults) > 0 {
		want = 1
	}
	if status != want {
		t.Fatalf("status %d, want %d\n%s\n%s", status, want, out, errs)
	}
	return lines, d
}

func clean(t *testing.T, host string) {
	t.Helper()
	if lines, _ := drift(t, host); len(lines) > 0 {
		t.Errorf("differs: %s", strings.Join(lines, "\n"))
	}
}

func history(t *testing.T) string {
	t.Helper()
	return command(t, "zpool", "history", "-il", "tank")
}

// machineState is all that a plan may change: local properties, mounts, and what lies at the mountpoints.
func machineState(t *testing.T) string {
	t.Helper()
	var lines []string
	for line := range strings.SplitSeq(command(t, "zfs", "get", "-Hpr", "-o", "name,property,value,source", "all", "tank"), "\n") {
		f := strings.Split(line, "\t")
		if f[3] != "-" && f[3] != "default" || slices.Contains([]string{"mounted", "type", "encryption", "casesensitivity"}, f[1]) {
			lines = append(lines, line)
		}
	}
	for line := range strings.SplitSeq(mountinfo(t), "\n") {
		if f := strings.Fields(line); strings.Contains(line, " zfs ") {
			lines = append(lines, f[4]+" "+line[strings.Index(line, " - "):])
		}
	}
	slices.Sort(lines)
	err := filepath.WalkDir("/srv", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("%s %d:%d %o", path, st.Uid, st.Gid, st.Mode))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func equal(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// D1: from nothing to all datasets, and then nothing more is done.
func TestFromNothing(t *testing.T) {
	fresh(t)
	lines, _ := drift(t, "all")
	if !slices.Contains(lines, `tank/services/sonarr dataset: "filesystem", is "" (), apply`) {
		t.Errorf("what is missing is not told: %s", strings.Join(lines, "\n"))
	}
	dry := applyHost(t, 0, "all", "--dry-run")
	equal(t, "planned", dry.Outcome)
	equal(t, "", command(t, "zfs", "list", "-Hro", "name", "-d1", "-t", "filesystem", "tank")[len("tank"):])

	began := time.Now()
	a := applyHost(t, 0, "all")
	t.Logf("%d steps in %s", len(a.Steps), time.Since(began).Round(time.Millisecond))
	equal(t, "applied", a.Outcome)
	equal(t, len(dry.Steps), len(a.Steps))
	for _, s := range a.Steps {
		equal(t, "done", s.State)
	}
	clean(t, "all")
	for path, want := range map[string]string{"/srv/sonarr": "568 4992 750 zfs", "/srv/media": "4990 0 2755 zfs", "/srv/media/films": "4990 0 755 zfs", "/srv/secret": "0 0 700 zfs",
		"/srv/a b'\"$(touch pwned)/-c": "568 0 755 zfs"} {
		equal(t, want, command(t, "stat", "-c", "%u %g %a", "--", path)+" "+command(t, "stat", "-fc", "%T", "--", path))
	}
	equal(t, "no\nno\nno", command(t, "zfs", "get", "-Ho", "value", "mounted", "tank/old", "tank/none", "tank/manual"))
	equal(t, "it's \"$(touch /pwned)\" `touch /pwned` \\ ü ; -n=x", command(t, "zfs", "get", "-Ho", "value", "org.example:note", "tank/odd/quotes"))
	equal(t, "--help", command(t, "zfs", "get", "-Ho", "value", "org.example:note", "tank/odd/dash"))
	for _, name := range []string{"/pwned", "pwned", "/mnt/pwned"} {
		if _, err := os.Stat(name); err == nil {
			t.Errorf("%s is there: a value was run", name)
		}
	}

	// Not one write of zfs: the log of the pool is as it was.
	before, state := history(t), machineState(t)
	again := applyHost(t, 0, "all")
	equal(t, "nothing to do", again.Outcome)
	equal(t, before, history(t))
	equal(t, state, machineState(t))

	// The script finds nothing to do where apply is done, and the other way round; both make the same of nothing.
	script := func() string {
		status, text, errs := statewardCommand(nil, "dataset", "plan", "testdata/hosts.json", "--host", "all", "-o", "script", "-q")
		if status > 1 || text == "" { // 1: services of which no unit is known
			t.Fatalf("%d: %s", status, errs)
		}
		file := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return command(t, "bash", file)
	}
	equal(t, "", script())
	equal(t, before, history(t))
	equal(t, state, machineState(t))
	fresh(t)
	if script() == "" {
		t.Error("the script says nothing of what it did")
	}
	equal(t, "nothing to do", applyHost(t, 0, "all").Outcome)
	clean(t, "all")
	equal(t, state, machineState(t))
}

func TestEachKindOfPropertyChanges(t *testing.T) {
	fresh(t)
	applyHost(t, 0, "kinds")
	lines, _ := drift(t, "kinds-changed")
	equal(t, []string{
		`tank/kinds atime: "on", is "off" (local), apply`,
		`tank/kinds compression: "zstd-5", is "lz4" (local), apply`,
		`tank/kinds filesystem_limit: "none", is "10" (local), apply`,
		`tank/kinds org.example:note: "two words", is "one" (local), apply`,
		`tank/kinds quota: "0", is "104857600" (local), apply`,
		`tank/kinds recordsize: "1048576", is "65536" (local), apply`,
		`tank/kinds snapdir: "hidden", is "visible" (local), apply`,
	}, lines)
	equal(t, 7, len(applyHost(t, 0, "kinds-changed").Steps))
	clean(t, "kinds-changed")
	equal(t, "nothing to do", applyHost(t, 0, "kinds-changed").Outcome)
	applyHost(t, 0, "kinds")
	clean(t, "kinds")
}

func TestOwnersChange(t *testing.T) {
	fresh(t)
	applyHost(t, 0, "one")
	if err := os.WriteFile("/srv/sonarr/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	lines, _ := drift(t, "other-owner")
	equal(t, []string{
		`tank/services/sonarr owner: "sonarr", is "568" (), apply`, `tank/services/sonarr group: "root", is "media" (), apply`, `tank/services/sonarr mode: "0700", is "0750" (), apply`,
	}, lines)
	equal(t, 1, len(applyHost(t, 0, "other-owner").Steps))
	equal(t, "4990 0 700", command(t, "stat", "-c", "%u %g %a", "/srv/sonarr"))
	equal(t, "0 0 600", command(t, "stat", "-c", "%u %g %a", "/srv/sonarr/file"))

	a := applyHost(t, 1, "no-owner")
	equal(t, dataset.OwnerUnknown, a.Conflicts[0].Kind)
}

// D4: inherited and received values are as good as local ones.
func TestInheritedAndReceivedValues(t *testing.T) {
	fresh(t)
	command(t, "zfs", "create", "-o", "recordsize=16K", "-o", "compression=zstd", "tank/services")
	command(t, "zfs", "create", "-o", "mountpoint=/srv/sonarr", "tank/services/sonarr")
	command(t, "chown", "568:4992", "/srv/sonarr")
	command(t, "chmod", "750", "/srv/sonarr")
	clean(t, "one")
	equal(t, "nothing to do", applyHost(t, 0, "one").Outcome)
	command(t, "zfs", "set", "recordsize=8K", "tank/services")
	lines, _ := drift(t, "one")
	equal(t, []string{`tank/services/sonarr recordsize: "16384", is "8192" (inherited tank/services), apply`}, lines)
	equal(t, []string{"done: set recordsize=16K of tank/services/sonarr"}, applyHost(t, 0, "one").steps())

	fresh(t)
	command(t, "zfs", "create", "-u", "-o", "mountpoint=/srv/sonarr", "-o", "recordsize=16K", "-o", "compression=gzip", "tank/from")
	command(t, "zfs", "snapshot", "tank/from@s")
	command(t, "zfs", "create", "-u", "-o", "mountpoint=none", "-o", "canmount=off", "tank/services")
	command(t, "sh", "-c", "zfs send -p tank/from@s | zfs receive -u tank/services/sonarr")
	command(t, "zfs", "destroy", "-r", "tank/from")
	lines, _ = drift(t, "one")
	if !slices.Contains(lines, `tank/services/sonarr compression: "zstd", is "gzip" (received), apply`) || slices.ContainsFunc(lines, func(s string) bool { return strings.Contains(s, "recordsize") }) {
		t.Errorf("received values: %s", strings.Join(lines, "\n"))
	}
	applyHost(t, 0, "one")
	clean(t, "one")
	equal(t, "16384\treceived\nzstd\tlocal", command(t, "zfs", "get", "-Hpo", "value,source", "recordsize,compression", "tank/services/sonarr"))
}

// What others made in or beside our datasets is left alone.
func TestChildrenAndOthers(t *testing.T) {
	fresh(t)
	applyHost(t, 0, "few")
	command(t, "zfs", "create", "-o", "com.example:theirs=1", "tank/media/theirs")
	command(t, "zfs", "create", "-o", "mountpoint=/srv/stray", "tank/services/stray")
	command(t, "zfs", "create", "tank/services/stray/in")
	command(t, "zfs", "set", "com.example:theirs=1", "tank/services/sonarr")
	lines, d := drift(t, "few")
	equal(t, []string(nil), lines)
	equal(t, []string{"tank/services/stray in tank/services, 1 below"}, undeclared(d))
	equal(t, 0, len(d.Unmounted))
	// What somebody unmounted, to make room for a step perhaps, is told.
	command(t, "zfs", "unmount", "tank/media/theirs")
	_, d = drift(t, "few")
	equal(t, "[{tank/media/theirs /srv/media/theirs}]", fmt.Sprint(d.Unmounted))
	command(t, "zfs", "mount", "tank/media/theirs")
	before := history(t)
	applyHost(t, 0, "few")
	equal(t, before, history(t))
	// What is mounted is not moved.
	a := applyHost(t, 1, "moved")
	equal(t, dataset.MountBusy, a.Conflicts[0].Kind)
	equal(t, before, history(t))
}

func undeclared(d drifted) []string {
	var list []string
	for _, u := range d.Undeclared {
		list = append(list, fmt.Sprintf("%s in %s, %d below", u.Name, u.In, u.Below))
	}
	return list
}

// D3: what can only be given at creation is a conflict.
func TestCreateOnlyConflict(t *testing.T) {
	fresh(t)
	applyHost(t, 0, "one")
	before := history(t)
	a := applyHost(t, 1, "create-only")
	equal(t, "conflicts", a.Outcome)
	equal(t, dataset.CreateOnlyDiffers, a.Conflicts[0].Kind)
	lines, _ := drift(t, "create-only")
	equal(t, []string{`tank/services/sonarr casesensitivity: "insensitive", is "sensitive" (none), kept: casesensitivity is sensitive and cannot become insensitive: only a new dataset can have it`}, lines)
	equal(t, before, history(t))
}

// P4, D2: files beneath a mountpoint are not hidden.
func TestMountpointWithFiles(t *testing.T) {
	fresh(t)
	command(t, "mkdir", "-p", "/srv/sonarr")
	if err := os.WriteFile("/srv/sonarr/data", []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := history(t)
	a := applyHost(t, 1, "few")
	equal(t, "conflicts", a.Outcome)
	equal(t, dataset.MountpointPopulated, a.Conflicts[0].Kind)
	for _, s := range a.Steps {
		equal(t, "not done", s.State)
	}
	equal(t, before, history(t))

	equal(t, "applied in part", applyHost(t, 1, "few", "--partial").Outcome)
	equal(t, "yes", command(t, "zfs", "get", "-Ho", "value", "mounted", "tank/media"))
	// One that was made would be mounted over the files by the next boot (P8).
	if err := exec.Command("zfs", "list", "tank/services/sonarr").Run(); err == nil {
		t.Error("tank/services/sonarr was made")
	}
	equal(t, "0 0 755", command(t, "stat", "-c", "%u %g %a", "/srv/sonarr"))
	lines, _ := drift(t, "few")
	if len(lines) != 1 || !strings.Contains(lines[0], "dataset") || !strings.Contains(lines[0], "holds files") {
		t.Errorf("%q", lines)
	}
	if err := os.Remove("/srv/sonarr/data"); err != nil {
		t.Fatal(err)
	}
	applyHost(t, 0, "few")
	clean(t, "few")
}

// What would be mounted below a link would be seen elsewhere, and is not mounted at all.
func TestMountpointBelowALink(t *testing.T) {
	fresh(t)
	command(t, "mkdir", "-p", "/srv/real")
	if err := os.Symlink("/srv/real", "/srv/media"); err != nil {
		t.Fatal(err)
	}
	a := applyHost(t, 1, "few")
	equal(t, dataset.NotADirectory, a.Conflicts[0].Kind)
}

func TestOnlyWhatIsNamed(t *testing.T) {
	fresh(t)
	applyHost(t, 0, "few", "--only", "tank/media")
	equal(t, "tank\ntank/media", command(t, "zfs", "list", "-Hro", "name", "tank"))
	applyHost(t, 0, "refused", "--only", "tank/services/sonarr")
	equal(t, "tank\ntank/media\ntank/services\ntank/services/sonarr", command(t, "zfs", "list", "-Hro", "name", "tank"))
	if status, _, errs := statewardCommand(nil, "dataset", "apply", "testdata/hosts.json", "--host", "few", "--only", "tank/nobody"); status != 2 || !strings.Contains(errs, "is not declared by few") {
		t.Errorf("status %d\n%s", status, errs)
	}
}

func TestKeyNotLoaded(t *testing.T) {
	fresh(t)
	command(t, "zfs", "create", "-u", "-o", "encryption=on", "-o", "keyformat=passphrase", "-o", "keylocation=file:///run/keys/passphrase", "-o", "mountpoint=none", "tank/secret")
	command(t, "zfs", "unload-key", "tank/secret")
	before := history(t)
	a := applyHost(t, 1, "in-secret")
	equal(t, dataset.KeyNotLoaded, a.Conflicts[0].Kind)
	equal(t, before, history(t))
	lines, _ := drift(t, "in-secret")
	equal(t, []string{`tank/secret/app dataset: "filesystem", is "" (), kept: lies in tank/secret, whose key is not loaded`}, lines)
	command(t, "zfs", "load-key", "tank/secret")
	applyHost(t, 0, "in-secret")
	clean(t, "in-secret")
}

func TestPoolExportedOrReadOnly(t *testing.T) {
	fresh(t)
	applyHost(t, 0, "few")
	export(t)
	a := applyHost(t, 1, "few")
	equal(t, dataset.PoolAbsent, a.Conflicts[0].Kind)
	lines, _ := drift(t, "few")
	if len(lines) == 0 || !strings.Contains(lines[0], `is "unknown: pool tank is not imported"`) {
		t.Errorf("%q", lines)
	}
	command(t, "zpool", "import", "-d", "/dev", "-o", "readonly=on", "tank")
	// What is there needs no step, and no step is no conflict.
	equal(t, "nothing to do", applyHost(t, 0, "few").Outcome)
	a = applyHost(t, 1, "kinds")
	equal(t, dataset.PoolUnwritable, a.Conflicts[0].Kind)
	export(t)
	command(t, "zpool", "import", "-d", "/dev", "tank")
	equal(t, "nothing to do", applyHost(t, 0, "few").Outcome)
}

// export takes the pool away. For a moment after it was written to, it may be busy with itself.
func export(t *testing.T) {
	t.Helper()
	for try := 0; ; try++ {
		out, err := exec.Command("zpool", "export", "tank").CombinedOutput()
		if err == nil {
			return
		}
		if try == 20 || !strings.Contains(string(out), "busy") {
			t.Fatalf("zpool export tank: %v\n%s", err, out)
		}
		time.Sleep(250 * time.Millisecond)
	}
}

// D5, D6: what cannot be said safely is refused before anything is done.
func TestRefused(t *testing.T) {
	fresh(t)
	before := history(t)
	a := applyHost(t, 1, "refused")
	equal(t, "conflicts", a.Outcome)
	if len(a.Faults) != 13 {
		t.Errorf("%d faults: %+v", len(a.Faults), a.Faults)
	}
	equal(t, before, history(t))
	applyHost(t, 1, "refused", "--partial")
	equal(t, "tank\ntank/services\ntank/services/sonarr", command(t, "zfs", "list", "-Hro", "name", "tank"))
}

// system is the machine, without the command.
func system() *apply.System {
	env := []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
	return &apply.System{Env: env, Observer: func(ctx context.Context, d dataset.Desired) (*dataset.Observed, error) {
		return capture.Pool(ctx, capture.PoolOptions{Env: env, Desired: d})
	}}
}

func parseMode(t *testing.T, s string) stateward.Mode {
	t.Helper()
	m, err := stateward.ParseMode(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// D2: each step looks at what it touches once more, since time has passed since the plan was made.
func TestStepsLookBeforeTheyTouch(t *testing.T) {
	fresh(t)
	command(t, "zfs", "create", "-u", "-o", "mountpoint=/srv/a", "tank/a")
	command(t, "zfs", "create", "-u", "-o", "mountpoint=/srv/b", "tank/b")
	command(t, "mkdir", "-p", "/srv/a", "/srv/full", "/srv/real")
	if err := os.WriteFile("/srv/full/x", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/srv/real", "/srv/link"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/srv/file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	on := dataset.Step{Dataset: dataset.MustName("tank/a")}
	path := stateward.MustPath
	own := func(p string) dataset.Op {
		return &dataset.Own{Step: on, Path: path(p), Owner: stateward.MustOwner("12"), Group: stateward.MustOwner("13"), Mode: parseMode(t, "0700")}
	}
	mount := func(p string) dataset.Op { return &dataset.MountDataset{Step: on, Path: path(p)} }
	do := func(op dataset.Op, want string) {
		t.Helper()
		before := machineState(t)
		err := system().Do(context.Background(), op)
		switch {
		case want == "" && err != nil:
			t.Fatal(err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Fatalf("error %v, want %q", err, want)
		case want != "":
			equal(t, before, machineState(t))
		}
	}
	do(own("/srv/a"), "is not mounted there")
	do(own("/srv/link"), "is a symbolic link")
	do(own("/srv/absent"), "no such file")
	do(own("/srv/file"), "is no directory")
	do(mount("/srv/link"), "is a symbolic link")
	do(mount("/srv/full"), "holds files, such as \"x\"")
	do(mount("/srv/real"), "its mountpoint is /srv/a by now")
	do(&dataset.MakeMountpoint{Step: on, Path: path("/srv/link/x")}, "is a symbolic link")
	do(&dataset.MakeMountpoint{Step: on, Path: path("/srv/file")}, "is no directory")

	command(t, "mount", "-t", "tmpfs", "tmpfs", "/srv/a")
	do(own("/srv/a"), "/srv/a belongs to tmpfs")
	do(mount("/srv/a"), "tmpfs is mounted at /srv/a")
	command(t, "umount", "/srv/a")
	do(mount("/srv/a"), "")
	do(mount("/srv/a"), "")
	do(own("/srv/a"), "")
	equal(t, "12 13 700", command(t, "stat", "-c", "%u %g %a", "/srv/a"))

	// A directory of the file system is not its top, and neither is a bind mount of one.
	command(t, "mkdir", "/srv/a/sub", "/srv/bound")
	do(own("/srv/a/sub"), "is not mounted there")
	command(t, "mount", "--bind", "/srv/a/sub", "/srv/bound")
	do(own("/srv/bound"), "is not mounted there")
	command(t, "mount", "-t", "tmpfs", "tmpfs", "/srv/a")
	do(own("/srv/a"), "/srv/a belongs to tmpfs")
	command(t, "umount", "/srv/a")

	// Directories that are made are root's; whoever is too early cannot write into the last one.
	old := syscall.Umask(0o077)
	do(&dataset.MakeMountpoint{Step: on, Path: path("/srv/new/deep/b")}, "")
	syscall.Umask(old)
	equal(t, "755\n755\n0", command(t, "stat", "-c", "%a", "/srv/new", "/srv/new/deep", "/srv/new/deep/b"))
	do(&dataset.Own{Step: on, Path: path("/srv/a"), Owner: stateward.MustOwner("nobody-knows")}, "user nobody-knows is unknown")
	do(&dataset.Create{Step: on}, "already exists")
	// What would be mounted by the next boot only is looked at as well.
	fresh := dataset.Step{Dataset: dataset.MustName("tank/fresh")}
	note, err := dataset.ParseSetting("mountpoint", "/srv/full", dataset.Filesystem)
	if err != nil {
		t.Fatal(err)
	}
	do(&dataset.Create{Step: fresh, Path: path("/srv/full")}, "holds files, such as \"x\"")
	do(&dataset.Create{Step: fresh, Path: path("/srv/a")}, "tank/a is mounted at /srv/a")
	do(&dataset.Create{Step: fresh, Path: path("/srv/link/x")}, "is a symbolic link")
	do(&dataset.Set{Step: dataset.Step{Dataset: dataset.MustName("tank/b")}, Setting: note, Path: path("/srv/full")}, "holds files")
	do(&dataset.Create{Step: fresh, Path: path("/srv/absent/x")}, "")
}

// stopping is a machine on which a run ends after a step.
type stopping struct {
	apply.Machine
	after int
}

func (s *stopping) Do(ctx context.Context, op dataset.Op) error {
	if s.after == 0 {
		return errors.New("stopped")
	}
	s.after--
	return s.Machine.Do(ctx, op)
}

func desired(t *testing.T) dataset.Desired {
	t.Helper()
	w := func(name, at, owner, mode string, settings ...string) dataset.Wanted {
		var list []dataset.Setting
		for _, s := range settings {
			property, value, _ := strings.Cut(s, "=")
			parsed, err := dataset.ParseSetting(property, value, dataset.Filesystem)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, parsed)
		}
		got, err := dataset.At(dataset.MustName(name), at, list...)
		if err != nil {
			t.Fatal(err)
		}
		if owner != "" {
			got.Owner = stateward.MustOwner(owner)
		}
		if mode != "" {
			got.Mode = parseMode(t, mode)
		}
		return got
	}
	return dataset.WithContainers(w("tank/services/sonarr", "/srv/sonarr", "568", "0711", "recordsize=16K"), w("tank/services/sonarr/films", "/srv/sonarr/deep/films", "sonarr", "0700"))
}

// A run that ends after any of its steps gets to the same end when it is started again, and that is ended after a step in its turn.
func TestStoppedAfterEveryStep(t *testing.T) {
	fresh(t)
	d := desired(t)
	r, err := apply.Run(context.Background(), d, system(), apply.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want, steps := machineState(t), r.Steps
	fresh(t)
	for n := range steps {
		r, err := apply.Run(context.Background(), d, &stopping{system(), 1}, apply.Options{})
		if last := n == len(steps)-1; (err == nil) != last || (r.Outcome == apply.Stopped) == last || r.Count(apply.Done) != 1 {
			t.Fatalf("run %d: %v\n%+v", n, err, r)
		}
		equal(t, len(steps)-n, len(r.Steps))
	}
	equal(t, want, machineState(t))
	r, err = apply.Run(context.Background(), d, system(), apply.Options{})
	if err != nil || r.Outcome != apply.Nothing {
		t.Errorf("%s, %v", r.Outcome, err)
	}
	t.Logf("%d steps", len(steps))
}

const wrapper = `#!/bin/sh
# Stands for zfs, and ends whoever called it at a call that writes: before it, together with it while it is at work, or after it.
# That is done once for each call.
real=/usr/sbin/zfs
case "$1" in create | set | inherit | mount) ;; *) exec $real "$@" ;; esac
known() {
  count=0
  while IFS= read -r line; do
    count=$((count + 1))
    [ "$line" != "$1" ] || return 0
  done </tmp/wrap/known
  return 1
}
read -r whens </tmp/wrap/when
for when in $whens; do
  ! known "$when $*" || continue
  printf '%s\n' "$when $*" >>/tmp/wrap/known
  case $when in
  before) kill -KILL $PPID; exit 1 ;;
  amid) $real "$@" & sleep "$(printf 0.0%02d $((5 + count * 10 % 45)))"; kill -KILL $! $PPID; wait; exit 1 ;;
  after) $real "$@"; kill -KILL $PPID; exit 1 ;;
  esac
done
exec $real "$@"
`

// killedAtEveryWrite starts what applies until it comes to its end: with zfs it is killed at the first of its writes at which it was not
// killed that way before. It returns at which it was.
func killedAtEveryWrite(t *testing.T, when string, run func(env []string) (status int, said string)) []string {
	t.Helper()
	if err := os.MkdirAll("/tmp/wrap", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"zfs": wrapper, "known": "", "when": when + "\n"} {
		if err := os.WriteFile("/tmp/wrap/"+name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	known := 0
	for {
		status, said := run([]string{"PATH=/tmp/wrap:" + os.Getenv("PATH")})
		text, err := os.ReadFile("/tmp/wrap/known")
		if err != nil {
			t.Fatal(err)
		}
		points := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		if status == 0 && string(text) != "" && len(points) == known {
			return points
		}
		if status != -1 || len(points) != known+1 {
			t.Fatalf("after %q: status %d: %s", points, status, said)
		}
		known++
	}
}

// The command that is killed before, amid or after any of its calls of zfs, and started again, gets to the same end.
func TestKilledAtEveryWrite(t *testing.T) {
	fresh(t)
	applyHost(t, 0, "one")
	want := machineState(t)
	for when, killed := range map[string]int{"before after": 6, "amid": 3} {
		fresh(t)
		points := killedAtEveryWrite(t, when, func(env []string) (int, string) {
			status, out, errs := statewardCommand(env, "dataset", "apply", "testdata/hosts.json", "--host", "one", "-q")
			return status, out + errs
		})
		equal(t, want, machineState(t))
		equal(t, killed, len(points))
		t.Logf("%q", points)
	}
}

// The first step that fails ends the run, which says what is done and what is not.
func TestStepFails(t *testing.T) {
	fresh(t)
	if err := os.MkdirAll("/tmp/fail", 0o755); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nif [ \"$1\" = mount ]; then echo 'cannot mount: internal error' >&2; exit 1; fi\nexec /usr/sbin/zfs \"$@\"\n"
	if err := os.WriteFile("/tmp/fail/zfs", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=/tmp/fail:" + os.Getenv("PATH")}
	status, out, errs := statewardCommand(env, "dataset", "apply", "testdata/hosts.json", "--host", "one", "-q")
	equal(t, 4, status)
	for _, want := range []string{"[1/5] done create tank/services", "[4/5] failed mount tank/services/sonarr at /srv/sonarr", "one: failed; 3 of 5 steps done", "not done: 5  give /srv/sonarr"} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
	if !strings.Contains(errs, "cannot mount tank/services/sonarr at /srv/sonarr: cannot mount: internal error") || !strings.Contains(errs, "apply again") {
		t.Errorf("%s", errs)
	}
	// D2: nothing was done to the directory that is not the dataset.
	equal(t, "0 0 0", command(t, "stat", "-c", "%u %g %a", "/srv/sonarr"))
	applyHost(t, 0, "one")
	clean(t, "one")
}

// D1: a zfs that says it has done what it has not is found out.
func TestVerified(t *testing.T) {
	fresh(t)
	if err := os.MkdirAll("/tmp/lie", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/tmp/lie/zfs", []byte("#!/bin/sh\n[ \"$1\" != set ] || exit 0\nexec /usr/sbin/zfs \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	applyHost(t, 0, "kinds")
	status, out, errs := statewardCommand([]string{"PATH=/tmp/lie:" + os.Getenv("PATH")}, "dataset", "apply", "testdata/hosts.json", "--host", "kinds-changed", "-q")
	equal(t, 4, status)
	if !strings.Contains(out, "still to be done: set recordsize=1M of tank/kinds") || !strings.Contains(errs, "all steps were done, and 7 would have to be done again") {
		t.Errorf("%s\n%s", out, errs)
	}
}

// An interrupt ends a run after the step that it is in; one run at a time works on a machine.
func TestInterruptAndLock(t *testing.T) {
	fresh(t)
	if err := os.MkdirAll("/tmp/slow", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/tmp/slow/zfs", []byte("#!/bin/sh\n[ \"$1\" != create ] || sleep 1\nexec /usr/sbin/zfs \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("stateward", "dataset", "apply", "testdata/hosts.json", "--host", "few", "--other-host")
	cmd.Env = append(os.Environ(), "PATH=/tmp/slow:"+os.Getenv("PATH"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for exec.Command("zfs", "list", "tank/media").Run() != nil {
		if time.Now().After(deadline) {
			t.Fatalf("nothing happens:\n%s", errs.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
	status, _, said := statewardCommand(nil, "dataset", "apply", "testdata/hosts.json", "--host", "few", "-q")
	equal(t, 4, status)
	if !strings.Contains(said, fmt.Sprintf("another run is at work: process %d since ", cmd.Process.Pid)) || !strings.Contains(said, "--wait") {
		t.Errorf("%s", said)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	equal(t, 4, cmd.ProcessState.ExitCode())
	if !strings.Contains(out.String(), "few: interrupted; ") || !strings.Contains(errs.String(), "apply again") {
		t.Errorf("%s\n%s", out.String(), errs.String())
	}
	status, _, said = statewardCommand(nil, "dataset", "apply", "testdata/hosts.json", "--host", "few", "-q", "--wait")
	if status != 0 {
		t.Errorf("status %d: %s", status, said)
	}
	clean(t, "few")
}
