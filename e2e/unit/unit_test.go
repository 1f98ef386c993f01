//go:build e2e

// Package unit_test runs the units of package dataset, and a service behind them, under the real systemd: run it with scripts/e2e.
package unit_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

func try(args ...string) (string, error) {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	return strings.TrimRight(string(out), "\n"), err
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := try(args...)
	if err != nil {
		journal, _ := try("journalctl", "-b", "--no-pager", "-n", "40", "-u", "app", "-u", dataset.UnitName)
		t.Fatalf("%s: %v\n%s\n%s", strings.Join(args, " "), err, out, journal)
	}
	return out
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	os.Chmod(file, mode)
}

const odd = "/srv/100% of a b;#$x"

// install writes the script and the units, as a new configuration does.
func install(t *testing.T, recordsize string) {
	t.Helper()
	setting := func(property, value string) dataset.Setting {
		s, err := dataset.ParseSetting(property, value, dataset.Filesystem)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	mode, _ := stateward.ParseMode("0700")
	group, _ := stateward.ParseMode("0750")
	d := dataset.WithContainers(
		dataset.Wanted{Name: dataset.MustName("tank/services/app"), Role: dataset.Service, Services: []string{"app"}, Owner: stateward.MustOwner("daemon"), Mode: mode,
			Settings: []dataset.Setting{setting("mountpoint", "/var/lib/app"), setting("recordsize", recordsize)}},
		dataset.Wanted{Name: dataset.MustName("tank/services/odd"), Role: dataset.Service, Services: []string{"app"}, Settings: []dataset.Setting{setting("mountpoint", odd)}},
		// Once "/" becomes "-" the two are one (D10).
		dataset.Wanted{Name: dataset.MustName("tank/services/b-c"), Role: dataset.Service, Services: []string{"other"}, Mode: group, Settings: []dataset.Setting{setting("mountpoint", "/var/lib/other")}},
		dataset.Wanted{Name: dataset.MustName("tank/services/b/c"), Role: dataset.Service, Services: []string{"third"}, Settings: []dataset.Setting{setting("mountpoint", "/var/lib/third")}},
		dataset.Wanted{Name: dataset.MustName("tank/raw"), Role: dataset.Utility, Settings: []dataset.Setting{setting("mountpoint", "/var/lib/third/raw")}},
	)
	script, err := dataset.Script(d, "forge")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dataset.DefaultScript, script, 0o755)
	var services []stateward.Service
	for _, name := range []string{"app", "other", "third"} {
		services = append(services, stateward.Service{Name: name, Units: []string{name + ".service"}})
	}
	known := func(texts ...string) stateward.Value[[]string] { return stateward.Known(texts, stateward.Origin{}) }
	h := &stateward.Host{Services: stateward.Known(services, stateward.Origin{}), Units: stateward.Known([]stateward.Unit{
		{Name: "other.service", StateDirectory: known("other")},
		{Name: "early.service", Before: known("sysinit.target"), ReadWritePaths: known("/var/lib/other/early")},
	}, stateward.Origin{})}
	waiters, unwaited := dataset.Waiters(h, d)
	if len(unwaited) != 1 || unwaited[0].Service != "early" {
		t.Errorf("nothing holds %v", unwaited)
	}
	files, err := dataset.Units(d, "forge", waiters, dataset.DefaultScript)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		write(t, f.Path, f.Text, 0o644)
	}
	must(t, "systemctl", "daemon-reload")
}

func active(unit string) string {
	out, _ := try("systemctl", "is-active", unit)
	return out
}

// D2: a service runs on its dataset, or not at all.
func TestServiceBehindItsDatasets(t *testing.T) {
	must(t, "zpool", "create", "-f", "-m", "none", "tank", "/dev/ubdb")
	write(t, "/etc/systemd/system/app.service", `[Service]
User=daemon
ExecStartPre=/bin/sh -c 'echo run >>/var/lib/app/started'
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
`, 0o644)
	for _, name := range []string{"other", "third"} {
		write(t, "/etc/systemd/system/"+name+".service", "[Service]\nStateDirectory="+name+"\nExecStart=/bin/sh -c 'echo run >/var/lib/"+name+"/started; exec sleep infinity'\n", 0o644)
	}
	write(t, "/etc/systemd/system/early.service", "[Unit]\nDefaultDependencies=no\nBefore=sysinit.target\n[Service]\nType=oneshot\nExecStart=/bin/true\n[Install]\nWantedBy=sysinit.target\n", 0o644)
	install(t, "16K")
	if got := must(t, "systemctl", "show", "-P", "TimeoutStartUSec", dataset.UnitName, dataset.CheckUnit(dataset.MustName("tank/raw"))); strings.Count(got, "15min") != 2 {
		t.Errorf("the timeouts are %s", got)
	}
	must(t, "systemctl", "enable", "app.service", dataset.UnitName)
	if out := must(t, "systemd-analyze", "verify", "--man=no", "app.service", dataset.UnitName); strings.Contains(out, "stateward") {
		t.Errorf("systemd-analyze says %s", out)
	}

	// A unit that the datasets come after has no drop-in; with one systemd would throw out a job at boot.
	analyze := func() string {
		out, _ := try("systemd-analyze", "verify", "--man=no", "early.service", dataset.UnitName)
		return out
	}
	if out := analyze(); strings.Contains(out, "cycle") {
		t.Errorf("systemd-analyze says %s", out)
	}
	const dropIn = "/etc/systemd/system/early.service.d/50-stateward-datasets.conf"
	if _, err := os.Stat(dropIn); err == nil {
		t.Errorf("there is %s", dropIn)
	}
	write(t, dropIn, "[Unit]\nRequires="+dataset.UnitName+"\nAfter="+dataset.UnitName+"\n", 0o644)
	if out := analyze(); !strings.Contains(out, "cycle") {
		t.Errorf("systemd-analyze finds no cycle: %s", out)
	}
	os.Remove(dropIn)
	must(t, "systemctl", "daemon-reload")

	// From nothing: the service pulls its datasets in.
	must(t, "systemctl", "start", "app.service")
	must(t, "mountpoint", "-q", "/var/lib/app")
	must(t, "mountpoint", "-q", odd)
	if got := must(t, "stat", "-c", "%U %a", "/var/lib/app"); got != "daemon 700" {
		t.Errorf("it is of %s", got)
	}

	// A change is carried out by a reload, which disturbs nobody.
	pid := must(t, "systemctl", "show", "-P", "MainPID", "app.service")
	install(t, "32K")
	must(t, "systemctl", "reload", dataset.UnitName)
	if got := must(t, "zfs", "get", "-Hp", "-o", "value", "recordsize", "tank/services/app"); got != "32768" {
		t.Errorf("recordsize is %s after a reload", got)
	}
	if now := must(t, "systemctl", "show", "-P", "MainPID", "app.service"); now != pid || pid == "0" {
		t.Errorf("the service ran as %s, and runs as %s", pid, now)
	}

	// The dataset is not mounted any more: it is mounted again for the service.
	must(t, "systemctl", "stop", "app.service")
	must(t, "zfs", "unmount", "tank/services/odd")
	must(t, "systemctl", "start", "app.service")
	must(t, "mountpoint", "-q", odd)

	// It is not to be mounted, which nothing that is declared forbids: the assertion holds the service back.
	must(t, "systemctl", "stop", "app.service")
	must(t, "zfs", "set", "canmount=noauto", "tank/services/odd")
	must(t, "zfs", "unmount", "tank/services/odd")
	if out, err := try("systemctl", "start", "app.service"); err == nil || active("app.service") == "active" {
		t.Errorf("the service was started without a dataset: %s", out)
	}
	if got := must(t, "systemctl", "show", "-P", "AssertResult", "app.service"); got != "no" {
		t.Errorf("AssertResult is %s", got)
	}
	must(t, "zfs", "set", "-u", "canmount=on", "tank/services/odd")

	// The dataset cannot be mounted, since something lies beneath: its own unit fails, and with it what requires it.
	must(t, "systemctl", "stop", dataset.UnitName)
	must(t, "zfs", "unmount", "tank/services/app")
	write(t, "/var/lib/app/stray", "", 0o644)
	if out, err := try("systemctl", "start", "app.service"); err == nil || active("app.service") == "active" {
		t.Errorf("the service was started beneath its dataset: %s", out)
	}
	check := dataset.CheckUnit(dataset.MustName("tank/services/app"))
	if got := active(dataset.UnitName) + " " + active(check); got != "failed failed" {
		t.Errorf("the units are %s", got)
	}
	if _, err := os.Stat("/var/lib/app/started"); err == nil {
		t.Error("the service wrote beneath its mountpoint")
	}
	if out := must(t, "journalctl", "-b", "--no-pager", "-u", check); !strings.Contains(out, "tank/services/app: is to be mounted at /var/lib/app, which holds files") {
		t.Errorf("the journal does not say why:\n%s", out)
	}

	// Others run, each on its own dataset, although the unit that makes all fails.
	for _, name := range []string{"other", "third"} {
		must(t, "systemctl", "start", name+".service")
		if got := active(name + ".service"); got != "active" {
			t.Errorf("%s is %s", name, got)
		}
		must(t, "mountpoint", "-q", "/var/lib/"+name)
	}
	if got := active(dataset.UnitName); got != "failed" {
		t.Errorf("the unit is %s", got)
	}
	if got := must(t, "findmnt", "-no", "SOURCE", "/var/lib/other") + " " + must(t, "findmnt", "-no", "SOURCE", "/var/lib/third"); got != "tank/services/b-c tank/services/b/c" {
		t.Errorf("mounted are %s", got)
	}

	// The mode of the dataset is what the service's state directory has after a start, too.
	if got := must(t, "stat", "-c", "%a", "/var/lib/other", "/var/lib/third"); got != "750\n755" {
		t.Errorf("the modes are %s", got)
	}

	// A dataset within the service's own is asserted as well.
	must(t, "mountpoint", "-q", "/var/lib/third/raw")
	must(t, "systemctl", "stop", "third.service")
	must(t, "zfs", "set", "canmount=noauto", "tank/raw")
	must(t, "zfs", "unmount", "tank/raw")
	if out, err := try("systemctl", "start", "third.service"); err == nil || active("third.service") == "active" {
		t.Errorf("the service was started without the dataset within its own: %s", out)
	}
	must(t, "zfs", "set", "-u", "canmount=on", "tank/raw")
	must(t, "systemctl", "start", "third.service")

	// Another dataset in the place of the right one: what is mounted there satisfies an assertion, and no unit that looks.
	must(t, "systemctl", "stop", "other.service")
	must(t, "zfs", "unmount", "tank/services/b-c")
	must(t, "zfs", "create", "-o", "mountpoint=/var/lib/other", "tank/stray")
	if out, err := try("systemctl", "start", "other.service"); err == nil || active("other.service") == "active" {
		t.Errorf("the service was started on another dataset: %s", out)
	}
	// Once it neither is nor would be mounted there, nothing is in the way.
	must(t, "zfs", "unmount", "tank/stray")
	must(t, "zfs", "set", "canmount=noauto", "tank/stray")
	must(t, "systemctl", "start", "other.service")

	// Once that is away, all is well again.
	os.Remove("/var/lib/app/stray")
	must(t, "systemctl", "start", "app.service")
	if got, _ := os.ReadFile("/var/lib/app/started"); string(got) != "run\nrun\nrun\n" {
		t.Errorf("the service left %q", got)
	}
}
