//go:build e2e

package script_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stateward/stateward/dataset"
)

// What zfs would mount, unmount or share on the way.
func TestNothingMovesBeneathItsUsers(t *testing.T) {
	must(t, "zfs", "create", "-o", "mountpoint=/srv/zoned", "tank/zoned")
	apply(t, wanted(t, "tank/zoned", "/srv/zoned", "zoned=on"))
	if exec.Command("mountpoint", "-q", "/srv/zoned").Run() != nil {
		t.Error("zoned=on unmounted it")
	}
	must(t, "zfs", "set", "-u", "zoned=off", "tank/zoned")

	must(t, "zfs", "create", "-o", "mountpoint=/srv/shared", "tank/shared")
	must(t, "zfs", "create", "tank/shared/in")
	must(t, "zfs", "create", "tank/shared/out")
	must(t, "zfs", "unmount", "tank/shared/out")
	os.WriteFile("/srv/shared/out/file", nil, 0o644)
	exports := func() string {
		b, _ := os.ReadFile("/etc/exports.d/zfs.exports")
		return string(b)
	}
	os.MkdirAll("/etc/exports.d", 0o755)
	if _, err := os.Stat("/usr/sbin/exportfs"); err != nil {
		os.WriteFile("/usr/sbin/exportfs", []byte("#!/bin/sh\nexit 0\n"), 0o755)
	}
	on, ro, off := wanted(t, "tank/shared", "/srv/shared", "sharenfs=on"), wanted(t, "tank/shared", "/srv/shared", "sharenfs=ro"), wanted(t, "tank/shared", "/srv/shared", "sharenfs=off")
	t.Log(apply(t, on))
	if got := exports(); !strings.Contains(got, "/srv/shared *(") || !strings.Contains(got, "/srv/shared/in *(") || strings.Contains(got, "/out") {
		t.Errorf("shared are:\n%s", got)
	}
	apply(t, ro)
	if got := exports(); !strings.Contains(got, "/srv/shared *(sec=sys,ro") || !strings.Contains(got, "/srv/shared/in *(sec=sys,ro") {
		t.Errorf("shared are:\n%s", got)
	}
	again(t, ro)
	apply(t, off)
	if got := exports(); strings.Contains(got, "/srv/shared") {
		t.Errorf("shared are still:\n%s", got)
	}
	if _, err := os.Stat("/srv/shared/out/file"); err != nil {
		t.Error("what was not mounted was mounted over a file")
	}
	// One that is mounted by the script is shared as well.
	apply(t, wanted(t, "tank/fresh", "/srv/fresh", "sharenfs=on"))
	if got := exports(); !strings.Contains(got, "/srv/fresh *(") {
		t.Errorf("shared are:\n%s", got)
	}
	apply(t, wanted(t, "tank/fresh", "/srv/fresh", "sharenfs=off"))

	// `zfs inherit` would mount it over the file at once.
	must(t, "zfs", "create", "-o", "mountpoint=/srv/up", "tank/up")
	must(t, "zfs", "create", "-o", "mountpoint=/srv/elsewhere", "tank/up/in")
	must(t, "zfs", "unmount", "tank/up/in")
	os.MkdirAll("/srv/up/in", 0o755)
	os.WriteFile("/srv/up/in/precious", nil, 0o644)
	refused(t, []dataset.Wanted{{Name: dataset.MustName("tank/up/in"), Role: dataset.Utility, Inherit: []string{"mountpoint"}}}, "tank/up/in: has a mountpoint of its own")
	if _, err := os.Stat("/srv/up/in/precious"); err != nil {
		t.Error("it was mounted over a file")
	}
	must(t, "zfs", "destroy", "-r", "tank/up")
}

// What a parent passes on changes in the same run.
func TestChildKeepsWhatItsParentLoses(t *testing.T) {
	must(t, "zfs", "create", "-o", "recordsize=16K", "-o", "mountpoint=none", "tank/pass")
	must(t, "zfs", "create", "tank/pass/keeps")
	must(t, "zfs", "create", "tank/pass/follows")
	must(t, "zfs", "create", "-o", "recordsize=16K", "tank/pass/own")
	list := []dataset.Wanted{wanted(t, "tank/pass", "none", "recordsize=128K", "atime=off", "quota=64M"), wanted(t, "tank/pass/keeps", "none", "recordsize=16K", "atime=on", "quota=none"),
		wanted(t, "tank/pass/follows", "none", "recordsize=128K", "atime=off"), wanted(t, "tank/pass/own", "none", "recordsize=16K")}
	t.Log(apply(t, list...))
	again(t, list...)
	for name, want := range map[string]string{"keeps": "16384\tlocal", "follows": "131072\tinherited from tank/pass", "own": "16384\tlocal"} {
		if got := must(t, "zfs", "get", "-Hpo", "value,source", "recordsize", "tank/pass/"+name); got != want {
			t.Errorf("%s has %q, not %q", name, got, want)
		}
	}

	// A mountpoint too: what is declared is what it is inherited to be now.
	must(t, "zfs", "create", "-o", "mountpoint=/srv/was", "tank/moves")
	must(t, "zfs", "create", "tank/moves/stays")
	must(t, "zfs", "unmount", "tank/moves/stays")
	must(t, "zfs", "unmount", "tank/moves")
	list = []dataset.Wanted{wanted(t, "tank/moves", "/srv/is"), wanted(t, "tank/moves/stays", "/srv/was/stays")}
	t.Log(apply(t, list...))
	again(t, list...)
}

func TestOwnersOfAllKinds(t *testing.T) {
	f, err := os.OpenFile("/etc/group", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("my group:x:4993:\n")
	f.Close()
	// A group with a blank, and one after it.
	list := []dataset.Wanted{owned(wanted(t, "tank/owners/a", "/srv/oa"), "", "4993", "0750"), owned(wanted(t, "tank/owners/b", "/srv/ob"), "daemon", "", "0750")}
	apply(t, list...)
	must(t, "chmod", "0755", "/srv/oa", "/srv/ob")
	apply(t, list...)
	if got := must(t, "stat", "-c", "%U:%G %a", "/srv/oa", "/srv/ob"); got != "root:my group 750\ndaemon:root 750" {
		t.Errorf("they are\n%s", got)
	}
	// A user who is unknown keeps neither group nor mode from being right.
	refused(t, []dataset.Wanted{owned(wanted(t, "tank/owners/c", "/srv/oc"), "nobodyknows", "games", "2750")}, "tank/owners/c: owner and mode of /srv/oc could not be set")
	if got := must(t, "stat", "-c", "%U:%G %a", "/srv/oc"); got != "root:games 2750" {
		t.Errorf("it is %s", got)
	}
	// D7: one that is mounted by another's means is owned where it is.
	legacy := owned(wanted(t, "tank/owners/legacy", "legacy"), "daemon", "games", "0700")
	apply(t, legacy)
	os.MkdirAll("/mnt/legacy", 0o755)
	must(t, "mount", "-t", "zfs", "tank/owners/legacy", "/mnt/legacy")
	apply(t, legacy)
	again(t, legacy)
	if got := must(t, "stat", "-c", "%U:%G %a", "/mnt/legacy"); got != "daemon:games 700" {
		t.Errorf("it is %s", got)
	}
	again(t, legacy)

	// One that is in use where it was is left alone, and so is what lies in it.
	must(t, "zfs", "create", "-o", "mountpoint=/srv/inuse", "tank/inuse")
	must(t, "zfs", "create", "tank/inuse/in")
	out := refused(t, []dataset.Wanted{owned(wanted(t, "tank/inuse", "/srv/newplace"), "daemon", "", "0700"), {Name: dataset.MustName("tank/inuse/in"), Role: dataset.Utility, Mode: owned(dataset.Wanted{}, "", "", "0700").Mode}}, "tank/inuse: is mounted at /srv/inuse")
	if strings.Contains(out, "own ") {
		t.Errorf("it owns what is not where it belongs:\n%s", out)
	}
}

// A value of several lines, and one that is no value, are not what is declared.
func TestValuesOfOthers(t *testing.T) {
	must(t, "zfs", "create", "-o", "mountpoint=none", "tank/note")
	for _, other := range []string{"want\nrest", "want\tlocal\nrest", "want\tlocal\nrest\tlocal", "want\tlocal\ntank/note\tcom.example:b\tx\tlocal"} {
		must(t, "zfs", "set", "org.example:note="+other, "tank/note")
		note := wanted(t, "tank/note", "none", "org.example:note=want")
		apply(t, note)
		again(t, note)
		if got := get(t, "tank/note", "org.example:note"); got != "want" {
			t.Errorf("it is %q", got)
		}
	}
	dash := wanted(t, "tank/note", "none", "org.example:dash=-")
	apply(t, dash)
	again(t, dash)
	if got := must(t, "zfs", "get", "-Ho", "source", "org.example:dash", "tank/note"); got != "local" {
		t.Errorf("it is from %s", got)
	}
}

// One run at a time changes the datasets of a machine.
func TestOneAtATime(t *testing.T) {
	os.MkdirAll("/run/stateward", 0o700)
	c := exec.Command("flock", "/run/stateward/dataset.lock", "sleep", "2")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	time.Sleep(300 * time.Millisecond)
	began := time.Now()
	apply(t, wanted(t, "tank/oneatatime", "none"))
	if took := time.Since(began); took < time.Second {
		t.Errorf("it did not wait: %v", took)
	}
}

// What is put into the directory until the dataset is mounted is seen.
func TestWrittenMeanwhile(t *testing.T) {
	os.MkdirAll("/tmp/race", 0o755)
	os.WriteFile("/tmp/race/zfs", []byte("#!/bin/sh\n[ \"$1\" != mount ] || echo x >/srv/raced/file\nexec /usr/sbin/zfs \"$@\"\n"), 0o755)
	path = "/tmp/race:" + path
	defer func() { path = strings.TrimPrefix(path, "/tmp/race:") }()
	refused(t, []dataset.Wanted{wanted(t, "tank/raced", "/srv/raced")}, "tank/raced: was mounted at /srv/raced, into which something was written meanwhile")
}
