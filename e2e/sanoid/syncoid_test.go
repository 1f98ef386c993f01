//go:build e2e

package sanoid_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stateward/stateward/backup/sanoid"
)

// asUser runs a command as the user syncoid, and says how it ended.
func asUser(t *testing.T, words ...string) (string, int) {
	t.Helper()
	cmd := exec.Command("timeout", append([]string{"60", "runuser", "-u", "syncoid", "--"}, words...)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func arguments(t *testing.T, r *sanoid.Replication) []string {
	t.Helper()
	args, err := r.Command()
	if err != nil {
		t.Fatal(err)
	}
	return args
}

func allow(t *testing.T, r *sanoid.Replication) []sanoid.Allow {
	t.Helper()
	list, err := r.Allows("syncoid")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		command(t, a.Command()...)
	}
	return list
}

// unmounted tells that nothing of vault is mounted, now and after the next boot.
func unmounted(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "vault") {
		t.Errorf("mounted: %s", text)
	}
	command(t, "zfs", "mount", "-a")
	if text, _ = os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(text), "vault") {
		t.Errorf("mounted by zfs mount -a: %s", text)
	}
}

func guids(t *testing.T, dataset string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, l := range lines(command(t, "zfs", "list", "-H", "-t", "snapshot", "-o", "name,guid", "-d", "1", dataset)) {
		name, guid, _ := strings.Cut(l, "\t")
		out[name[strings.IndexByte(name, '@')+1:]] = guid
	}
	return out
}

// An unprivileged user sends and receives with what we say that it must be allowed. A transfer that is killed goes on where it was, the live
// path stays what it is, and what others made stays.
func TestS3S4S5ReplicationOutlivesAKill(t *testing.T) {
	pools(t)
	command(t, "zfs", "create", "-o", "mountpoint=/srv/app", "tank/app")
	command(t, "zfs", "create", "tank/app/below")
	// What is received would inherit a live path.
	command(t, "zfs", "create", "-o", "canmount=off", "-o", "mountpoint=/srv", "vault/forge")
	command(t, "dd", "if=/dev/urandom", "of=/srv/app/large", "bs=1M", "count=48", "status=none")
	command(t, "zfs", "snapshot", "-r", "tank/app@autosnap_1_hourly")
	r := &sanoid.Replication{Name: "app", Source: sanoid.End{Dataset: "tank/app"}, Target: sanoid.End{Dataset: "vault/forge/app"}, Recursive: true, Limit: "4M"}
	allow(t, r)

	args := arguments(t, r)
	cmd := exec.Command("runuser", append([]string{"-u", "syncoid", "--"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 600 {
		out, _ := exec.Command("zfs", "get", "-Hp", "-o", "value", "used", "vault/forge/app").Output()
		if n, err := strconv.Atoi(strings.TrimSpace(string(out))); err == nil && n > 4<<20 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait()
	token := ""
	for range 50 {
		if out, err := exec.Command("zfs", "get", "-H", "-o", "value", "receive_resume_token", "vault/forge/app").Output(); err == nil {
			if token = strings.TrimSpace(string(out)); len(token) > 10 {
				break
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	if len(token) < 10 {
		t.Fatalf("nothing is left to be resumed: %q", token)
	}
	unmounted(t)
	r.Limit = ""
	args = arguments(t, r)
	out, status := asUser(t, args...)
	if status != 0 {
		t.Fatalf("%d\n%s", status, out)
	}
	want := guids(t, "tank/app")
	if got := guids(t, "vault/forge/app"); got["autosnap_1_hourly"] == "" || got["autosnap_1_hourly"] != want["autosnap_1_hourly"] {
		t.Errorf("%v, want %v", got, want)
	}
	for _, d := range []string{"vault/forge/app", "vault/forge/app/below"} {
		if got := command(t, "zfs", "get", "-H", "-o", "value", "canmount,readonly,mounted", d); got != "noauto\non\nno" {
			t.Errorf("%s: %s", d, got)
		}
	}
	unmounted(t)
	if got := command(t, "findmnt", "-n", "-o", "SOURCE", "/srv/app"); got != "tank/app" {
		t.Errorf("the live path is %s", got)
	}

	// A run that only went on with a transfer makes no bookmark; the next that sends something does. Then all that both ends share is pruned
	// from the source.
	command(t, "zfs", "snapshot", "-r", "tank/app@autosnap_2_hourly")
	if out, status := asUser(t, args...); status != 0 {
		t.Fatalf("%d\n%s", status, out)
	}
	command(t, "zfs", "snapshot", "-r", "tank/app@autosnap_3_hourly")
	command(t, "zfs", "destroy", "-r", "tank/app@autosnap_1_hourly,autosnap_2_hourly")
	if out, status := asUser(t, args...); status != 0 {
		t.Fatalf("%d\n%s", status, out)
	}
	if got := guids(t, "vault/forge/app"); len(got) != 3 || got["autosnap_3_hourly"] != guids(t, "tank/app")["autosnap_3_hourly"] {
		t.Errorf("%v", got)
	}

	// What another made on the target is neither rolled back nor destroyed: the run fails.
	command(t, "zfs", "snapshot", "vault/forge/app@mine")
	command(t, "zfs", "set", "readonly=off", "vault/forge/app")
	command(t, "zfs", "set", "x:y=changed", "vault/forge/app")
	command(t, "mkdir", "-p", "/mnt-vault")
	command(t, "mount", "-t", "zfs", "-o", "zfsutil", "vault/forge/app", "/mnt-vault")
	write(t, "/mnt-vault/mine", "mine")
	command(t, "umount", "/mnt-vault")
	command(t, "zfs", "snapshot", "-r", "tank/app@autosnap_4_hourly")
	out, status = asUser(t, args...)
	if got := guids(t, "vault/forge/app"); status == 0 || got["mine"] == "" || got["autosnap_4_hourly"] != "" || !strings.Contains(out, "has been modified") {
		t.Errorf("%d %v\n%s", status, got, out)
	}
	if got := command(t, "zfs", "get", "-H", "-o", "value", "written@mine", "vault/forge/app"); got == "0" || got == "0B" {
		t.Error("what was written on the target is gone")
	}
	command(t, "zfs", "destroy", "-r", "tank/app")
	command(t, "zfs", "destroy", "-r", "vault/forge/app")
	unmounted(t)
}

// Each permission is needed: without it the run fails, or leaves the target as it must not be.
func TestS5EachPermissionIsNeeded(t *testing.T) {
	pools(t)
	command(t, "zfs", "create", "-o", "mountpoint=/srv/p", "tank/p")
	command(t, "zfs", "create", "-o", "canmount=off", "vault/p")
	command(t, "zfs", "snapshot", "tank/p@autosnap_1_hourly")
	command(t, "zfs", "snapshot", "tank/p@autosnap_2_hourly")
	try := func(name string) bool {
		t.Helper()
		r := &sanoid.Replication{Name: name, Source: sanoid.End{Dataset: "tank/p"}, Target: sanoid.End{Dataset: "vault/p/" + name}}
		for _, b := range lines(command(t, "zfs", "list", "-H", "-t", "bookmark", "-o", "name", "-d", "1", "tank/p")) {
			command(t, "zfs", "destroy", b)
		}
		_, status := asUser(t, arguments(t, r)...)
		out, err := exec.Command("zfs", "get", "-H", "-o", "value", "canmount,readonly", "vault/p/"+name).Output()
		return status == 0 && err == nil && string(out) == "noauto\non\n" && len(guids(t, "vault/p/"+name)) == 2
	}
	r := &sanoid.Replication{Name: "p", Source: sanoid.End{Dataset: "tank/p"}, Target: sanoid.End{Dataset: "vault/p/p"}}
	list := allow(t, r)
	if !try("all") {
		t.Fatal("it fails with all permissions")
	}
	for _, a := range list {
		for _, p := range a.Permissions {
			command(t, "zfs", "unallow", "-u", "syncoid", p.Name, a.Dataset)
			if try("without-" + p.Name) {
				t.Errorf("%s on %s is not needed", p.Name, a.Dataset)
			}
			command(t, "zfs", "allow", "-u", "syncoid", p.Name, a.Dataset)
		}
	}
	if !try("again") {
		t.Error("it fails with all permissions again")
	}
	command(t, "zfs", "destroy", "-r", "tank/p")
	command(t, "zfs", "destroy", "-r", "vault/p")
}

// An encrypted dataset arrives as it is, by a unit under systemd; a volume too.
func TestS7EncryptedAndVolumeByUnits(t *testing.T) {
	pools(t)
	write(t, "/run/key", "passphrase\n")
	command(t, "zfs", "create", "-o", "encryption=on", "-o", "keyformat=passphrase", "-o", "keylocation=file:///run/key", "-o", "mountpoint=/srv/e", "tank/e")
	command(t, "zfs", "create", "-s", "-V", "8M", "tank/v")
	command(t, "zfs", "create", "-o", "canmount=off", "vault/u")
	for _, r := range []*sanoid.Replication{
		{Name: "tank/e", Source: sanoid.End{Dataset: "tank/e"}, Target: sanoid.End{Dataset: "vault/u/e"}, Raw: true},
		{Name: "tank/v", Source: sanoid.End{Dataset: "tank/v"}, Target: sanoid.End{Dataset: "vault/u/v"}, Volume: true},
	} {
		allow(t, r)
		service, timer, err := r.Units(sanoid.UnitOptions{Syncoid: "/usr/sbin/syncoid", User: "syncoid", Path: []string{"/usr/sbin", "/usr/bin"}, OnCalendar: []string{"daily"}})
		if err != nil {
			t.Fatal(err)
		}
		unit := filepath.Join("/etc/systemd/system", r.UnitName())
		write(t, unit+".service", service)
		write(t, unit+".timer", timer)
		command(t, "systemd-analyze", "verify", unit+".timer", unit+".service")
		command(t, "systemctl", "daemon-reload")
		for _, snap := range []string{"autosnap_1_hourly", "autosnap_2_hourly"} {
			command(t, "zfs", "snapshot", r.Source.Dataset+"@"+snap)
			if out, err := exec.Command("systemctl", "start", r.UnitName()+".service").CombinedOutput(); err != nil {
				t.Fatalf("%s\n%s", out, command(t, "journalctl", "-u", r.UnitName(), "-n", "30", "--no-pager"))
			}
			if got := guids(t, r.Target.Dataset); got[snap] != guids(t, r.Source.Dataset)[snap] {
				t.Errorf("%v", got)
			}
		}
		command(t, "systemctl", "start", r.UnitName()+".timer")
		if got := command(t, "systemctl", "is-active", r.UnitName()+".timer"); got != "active" {
			t.Error(got)
		}
	}
	if got := command(t, "zfs", "get", "-H", "-o", "value", "keystatus,canmount", "vault/u/e"); got != "unavailable\nnoauto" {
		t.Error(got)
	}
	unmounted(t)
	// A stream of the other kind does not follow.
	command(t, "zfs", "snapshot", "tank/e@autosnap_3_hourly")
	r := &sanoid.Replication{Name: "e", Source: sanoid.End{Dataset: "tank/e"}, Target: sanoid.End{Dataset: "vault/u/e"}}
	if out, status := asUser(t, arguments(t, r)...); status == 0 || guids(t, "vault/u/e")["autosnap_3_hourly"] != "" {
		t.Errorf("%d\n%s", status, out)
	}
}
