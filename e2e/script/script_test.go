//go:build e2e

// Package script_test runs the scripts of package dataset on the real ZFS: run it with scripts/e2e.
package script_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

func TestMain(m *testing.M) {
	os.MkdirAll("/run/keys", 0o700)
	os.WriteFile("/run/keys/passphrase", []byte("correct horse\n"), 0o600)
	for _, args := range [][]string{{"create", "-f", "-m", "none", "tank", "/dev/ubdb"}, {"create", "-f", "-m", "none", "rpool", "/dev/ubdc"}} {
		if out, err := exec.Command("zpool", args...).CombinedOutput(); err != nil {
			fmt.Printf("%s\n%v\n", out, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimRight(string(out), "\n")
}

// wanted is a dataset by its name, its mountpoint, and settings as name=value.
func wanted(t *testing.T, name, at string, settings ...string) dataset.Wanted {
	t.Helper()
	var list []dataset.Setting
	for _, text := range settings {
		property, value, _ := strings.Cut(text, "=")
		s, err := dataset.ParseSetting(property, value, dataset.Filesystem)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	w, err := dataset.At(dataset.MustName(name), at, list...)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func owned(w dataset.Wanted, owner, group, mode string) dataset.Wanted {
	if owner != "" {
		w.Owner = stateward.MustOwner(owner)
	}
	if group != "" {
		w.Group = stateward.MustOwner(group)
	}
	w.Mode, _ = stateward.ParseMode(mode)
	return w
}

var path = "/usr/sbin:/usr/bin:/sbin:/bin"

// script renders and runs the script, with a PATH of its own and nothing else in the environment.
func script(t *testing.T, list ...dataset.Wanted) (text string, ok bool) {
	t.Helper()
	rendered, err := dataset.Script(dataset.WithContainers(list...), "forge")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte(rendered), 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("/bin/bash", file)
	c.Env = []string{"PATH=" + path}
	out, err := c.CombinedOutput()
	return string(out), err == nil
}

func apply(t *testing.T, list ...dataset.Wanted) string {
	t.Helper()
	out, ok := script(t, list...)
	if !ok {
		t.Fatalf("the script failed:\n%s", out)
	}
	return out
}

// refused runs the script, which must fail and say all of these.
func refused(t *testing.T, list []dataset.Wanted, say ...string) string {
	t.Helper()
	out, ok := script(t, list...)
	if ok {
		t.Fatalf("the script did not fail:\n%s", out)
	}
	for _, s := range say {
		if !strings.Contains(out, s) {
			t.Errorf("it does not say %q:\n%s", s, out)
		}
	}
	return out
}

// history is how many changes the pools have been through.
func history(t *testing.T) string {
	t.Helper()
	return must(t, "zpool", "history", "-i", "tank") + must(t, "zpool", "history", "-i", "rpool")
}

func get(t *testing.T, name, property string) string {
	t.Helper()
	return must(t, "zfs", "get", "-Hp", "-o", "value", property, name)
}

// again applies a second time: that must not write anything.
func again(t *testing.T, list ...dataset.Wanted) {
	t.Helper()
	before := history(t)
	if out := apply(t, list...); out != "" {
		t.Errorf("a second run did something:\n%s", out)
	}
	if after := history(t); after != before {
		t.Errorf("a second run wrote to a pool:\n%s", strings.TrimPrefix(after, before))
	}
}

func TestFromNothing(t *testing.T) {
	list := []dataset.Wanted{
		owned(wanted(t, "tank/services/sonarr", "/var/lib/sonarr", "recordsize=16K", "compression=zstd", "atime=off"), "daemon", "games", "0750"),
		owned(wanted(t, "tank/services/sonarr/media", "/var/lib/sonarr/media", "recordsize=1M", "quota=64M"), "568", "568", "2770"),
		wanted(t, "tank/services/below", "/srv/x/y", "com.example:note=$(touch /pwned) `id` 'a' \"b\" \\ * größe", "userquota@daemon=16M"),
		wanted(t, "tank/services/over", "/srv/x"),
		wanted(t, "rpool/none", "none"), wanted(t, "rpool/legacy", "legacy", "canmount=noauto"),
		wanted(t, "rpool/secret", "/srv/sec ret;$(id)", "encryption=on", "keyformat=passphrase", "keylocation=file:///run/keys/passphrase"),
		wanted(t, "rpool/secret/below", "/srv/below"),
	}
	out := apply(t, list...)
	t.Log(out)
	if _, err := os.Stat("/pwned"); err == nil {
		t.Error("a value was run")
	}
	for _, w := range list {
		for _, s := range w.Settings {
			if got := get(t, w.Name.String(), s.Name()); got != s.Value() {
				t.Errorf("%s: %s is %q, not %q", w.Name, s.Name(), got, s.Value())
			}
		}
	}
	for path, want := range map[string]string{"/var/lib/sonarr": "daemon games 750", "/var/lib/sonarr/media": "568 568 2770"} {
		if got := must(t, "stat", "-c", "%U %G %a", path); got != strings.Replace(want, "568 568", "UNKNOWN UNKNOWN", 1) {
			t.Errorf("%s is of %s, not %s", path, got, want)
		}
	}
	again(t, list...)

	// A change of each kind, and one that was made by hand.
	list[0] = owned(wanted(t, "tank/services/sonarr", "/var/lib/sonarr", "recordsize=32K", "compression=zstd", "atime=off"), "daemon", "games", "0700")
	must(t, "zfs", "set", "quota=128M", "tank/services/sonarr/media")
	must(t, "zfs", "unmount", "tank/services/below")
	t.Log(apply(t, list...))
	again(t, list...)
	if got := get(t, "tank/services/sonarr", "recordsize") + get(t, "tank/services/sonarr/media", "quota"); got != "3276867108864" {
		t.Errorf("got %s", got)
	}

	// It is another place that a dataset cannot move to while it is mounted.
	list[3] = wanted(t, "tank/services/over", "/srv/z")
	refused(t, list, "tank/services/over: is mounted at /srv/x", "see above")
	must(t, "zfs", "unmount", "tank/services/below")
	must(t, "zfs", "unmount", "tank/services/over")
	t.Log(apply(t, list...))
	again(t, list...)
}

func TestRefused(t *testing.T) {
	os.MkdirAll("/data/full/sub", 0o755)
	os.WriteFile("/data/full/file", nil, 0o644)
	os.MkdirAll("/data/empty", 0o755)
	os.Symlink("/data/empty", "/data/link")
	os.Symlink("/data/empty", "/data/above")
	os.MkdirAll("/data/taken", 0o755)
	must(t, "mount", "-t", "tmpfs", "tmp", "/data/taken")
	must(t, "zfs", "create", "-V", "4M", "tank/volume")
	must(t, "zfs", "create", "-u", "tank/plain")
	must(t, "zfs", "create", "-u", "-o", "mountpoint=/data/outer", "tank/outer")
	must(t, "zfs", "create", "-u", "-o", "mountpoint=/srv", "-o", "canmount=noauto", "tank/replica") // nobody mounts it
	list := []dataset.Wanted{
		wanted(t, "tank/full", "/data/full"), wanted(t, "tank/full/in", "/data/full/in/it"), wanted(t, "tank/link", "/data/link"), wanted(t, "tank/through", "/data/above/x"),
		wanted(t, "tank/taken", "/data/taken"), wanted(t, "nopool/x", "/srv/nopool"), wanted(t, "tank/volume", "/srv/volume"), wanted(t, "tank/inner", "/data/outer/inner"),
		wanted(t, "tank/plain", "/srv/plain", "casesensitivity=insensitive"), owned(wanted(t, "tank/owner", "/srv/owner"), "nobodyknows", "", ""),
		wanted(t, "tank/good", "/srv/good"),
	}
	out := refused(t, list, "tank/full: is to be mounted at /data/full, which holds files", "tank/full/in: belongs in /data/full, where tank/full is not mounted",
		"tank/link: is to be mounted at /data/link, and /data/link is no directory, or a link", "tank/through: is to be mounted at /data/above/x, and /data/above is no directory, or a link",
		"tank/inner: is to be mounted at /data/outer/inner, which lies in /data/outer, where tank/outer belongs and is not mounted",
		"tank/taken: is to be mounted at /data/taken, where tmp is mounted", "nopool/x: pool nopool is not imported", "tank/volume: is a volume",
		"tank/plain: casesensitivity is sensitive and cannot become", "tank/owner: owner and mode of /srv/owner could not be set", "mount tank/good at /srv/good")
	t.Log(out)
	var mounted []string
	for _, w := range list {
		if exec.Command("mountpoint", "-q", "/srv/"+w.Name.Base()).Run() == nil {
			mounted = append(mounted, w.Name.Base())
		}
	}
	if !slices.Equal(mounted, []string{"plain", "owner", "good"}) {
		t.Errorf("mounted are %q", mounted)
	}
	// The next boot would mount what is there (P8).
	for _, name := range []string{"full", "full/in", "link", "through", "taken", "inner"} {
		if exec.Command("zfs", "list", "tank/"+name).Run() == nil {
			t.Errorf("tank/%s was made, although it cannot be mounted", name)
		}
	}
	if _, err := os.Stat("/data/full/in"); err == nil {
		t.Error("a directory was made beneath what is not mounted")
	}
	before := history(t)
	refused(t, list)
	if history(t) != before {
		t.Error("a second run that is refused wrote to a pool")
	}
}

// D2: what another mount hides is not the dataset.
func TestHiddenIsNotOwned(t *testing.T) {
	list := []dataset.Wanted{owned(wanted(t, "tank/hidden", "/srv/h/in"), "daemon", "daemon", "0700")}
	apply(t, list...)
	must(t, "mount", "-t", "tmpfs", "tmp", "/srv/h")
	defer must(t, "umount", "/srv/h")
	refused(t, list, "tank/hidden: is mounted at /srv/h/in, which another mount or a link hides")
	os.Mkdir("/srv/h/in", 0o755)
	refused(t, list, "tank/hidden: is mounted at /srv/h/in, which another mount hides")
	if got := must(t, "stat", "-c", "%U", "/srv/h/in"); got != "root" {
		t.Errorf("what hides it belongs to %s now", got)
	}
}

// What is imported for another system, as an installer does, is neither written to nor mounted here.
func TestPoolBelowAnotherRoot(t *testing.T) {
	list := []dataset.Wanted{wanted(t, "rpool/alt/there", "/srv/there", "recordsize=16K"), wanted(t, "rpool/alt/new", "/srv/new")}
	apply(t, list[0])
	must(t, "zfs", "set", "recordsize=8K", "rpool/alt/there")
	must(t, "zpool", "export", "rpool")
	must(t, "zpool", "import", "-d", "/dev", "-R", "/alt", "rpool")
	defer func() {
		must(t, "zpool", "export", "rpool")
		must(t, "zpool", "import", "-d", "/dev", "rpool")
		apply(t, list...)
	}()
	before := history(t)
	refused(t, list, "pool rpool is imported below /alt")
	if history(t) != before {
		t.Error("it wrote to the pool")
	}
	if _, err := os.Stat("/alt/srv/new"); err == nil {
		t.Error("it mounted below the other root")
	}
}

// What lies in a dataset whose key is not loaded can be neither made nor mounted.
func TestKeyNotLoaded(t *testing.T) {
	secret := wanted(t, "tank/locked", "none", "encryption=on", "keyformat=passphrase", "keylocation=file:///run/keys/passphrase")
	there, fresh := wanted(t, "tank/locked/there", "/srv/locked/there"), wanted(t, "tank/locked/new", "/srv/locked/new")
	apply(t, secret, there)
	must(t, "zfs", "unmount", "tank/locked/there")
	must(t, "zfs", "unload-key", "tank/locked")
	refused(t, []dataset.Wanted{secret, there, fresh}, "tank/locked/there: could not be mounted", "tank/locked/new: could not be created")
	must(t, "zfs", "load-key", "tank/locked")
	apply(t, secret, there, fresh)
	again(t, secret, there, fresh)
}

// What a script costs that asks and sets each property by itself, as people write it, against ours.
func TestCost(t *testing.T) {
	settings := []string{"recordsize=16K", "compression=zstd", "atime=off", "xattr=sa", "logbias=throughput", "com.sun:auto-snapshot=false"}
	var by strings.Builder
	var list []dataset.Wanted
	fmt.Fprintln(&by, `set -e
ensure() { zfs list "$1" >/dev/null 2>&1 || zfs create -u -o mountpoint=none "$1"; }
property() { [ "$(zfs get -H -o value "$2" "$1")" = "$3" ] || zfs set "$2=$3" "$1"; }
ensure tank/hand`)
	const datasets = 6 // the figures of docs/datasets.md are of 20
	for i := range datasets {
		fmt.Fprintf(&by, "ensure tank/hand/x%d\n", i)
		for _, s := range settings {
			property, value, _ := strings.Cut(s, "=")
			fmt.Fprintf(&by, "property tank/hand/x%d %s %s\n", i, property, value)
		}
		list = append(list, wanted(t, fmt.Sprintf("tank/ours/x%d", i), "none", settings...))
	}
	theirs := func() time.Duration {
		began := time.Now()
		must(t, "bash", "-c", by.String())
		return time.Since(began)
	}
	ours := func() time.Duration {
		began := time.Now()
		apply(t, list...)
		return time.Since(began)
	}
	made, madeOurs := theirs(), ours()
	best, bestOurs := theirs(), min(ours(), ours())
	t.Logf("%d datasets with %d properties each: from nothing %v by hand, %v ours: %.0f times; with nothing to do %v and %v: %.0f times",
		datasets, len(settings), made, madeOurs, float64(made)/float64(madeOurs), best, bestOurs, float64(best)/float64(bestOurs))
	if best < 3*bestOurs {
		t.Error("ours is hardly faster")
	}
}
