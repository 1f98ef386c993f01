//go:build e2e

// Package capture_test compares what is read of pools with what zfs says of them, in a machine with the real ZFS.
package capture_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/capture"
)

// sh runs a script with bash.
func sh(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.Command("bash", "-euo", "pipefail", "-c", script).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// odd are values that text cannot hold well: tabs, line ends, what looks like lines of zfs get, letters beyond ASCII.
var odd = map[string]string{
	"com.x:tab":     "a\tb\t-\tlocal",
	"com.x:lines":   "a\n\nb\tc\td\n",
	"com.x:quote":   `"'\$(true)` + "`",
	"com.x:letters": "é€😀 %",
	"com.x:control": "\x01\x1b\x7f",
	"com.x:empty":   "",
	"com.x:dash":    "-",
}

func setUp(t *testing.T) {
	t.Helper()
	sh(t, `
zpool create -m none -o ashift=12 tank /dev/ubdb
zpool create -m none -o comment='a b' other /dev/ubdc
zpool set user:x=$'a\nb\tc' other
zfs create -o mountpoint=/srv/data -o recordsize=16K tank/data
zfs create tank/data/child
zfs create -o 'mountpoint=/srv/with blank' 'tank/with blank'
zfs create -o mountpoint=legacy tank/legacy
mkdir -p /srv/legacy; mount -t zfs tank/legacy /srv/legacy
zfs create -V 8M tank/vol
echo passphrase | zfs create -o encryption=on -o keyformat=passphrase tank/enc
zfs create -u -o mountpoint=/srv/enc tank/enc/child
zfs unload-key tank/enc
zfs create -o mountpoint=/srv/odd tank/odd
zfs snapshot tank/data@a; zfs snapshot -r tank@r
zfs hold keep tank/data@a; zfs hold -r $'two words\tand\nlines' tank@r
zfs bookmark tank/data@a 'tank/data#b'
zfs clone tank/data@a tank/clone; zfs clone -o mountpoint=/srv/clone tank/data@a 'tank/clone two'
zfs set quota=1M tank/data
zfs create other/recv
zfs snapshot tank/odd@s
mkdir -p /srv/populated/below /srv/empty /srv/over; touch /srv/populated/file /srv/over/file /srv/afile; ln -s populated /srv/link
chmod 2750 /srv/empty; chown 65534:8 /srv/empty
mkdir -p /srv/later; touch /srv/later/file
zfs create -u -o mountpoint=/srv/later tank/later; zfs mount -O tank/later 2>/dev/null || zfs mount tank/later
mount -t tmpfs stacked /srv/data/child
mount --bind /srv/populated /srv/over
zfs create -u -o mountpoint=/srv/unmounted tank/unmounted; mkdir -p /srv/unmounted/x
mkdir -p /srv/hid/den; mount -t tmpfs one /srv/hid/den; mount -t tmpfs two /srv/hid
`)
	for name, value := range odd {
		out, err := exec.Command("zfs", "set", name+"="+value, "tank/odd").CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	sh(t, `
zfs snapshot tank/odd@t
zfs send -p tank/odd@t | zfs receive -u other/recv/odd
zfs send -p tank/data@r | zfs receive -u -o mountpoint=none other/recv/data
zfs set quota=2M recordsize=32K other/recv/data
zfs set com.x:tab=hides other/recv/odd; zfs inherit com.x:lines other/recv/odd
`)
	sh(t, "zpool sync; sleep 1; zpool sync")
	t.Cleanup(func() {
		exec.Command("bash", "-c", "umount /srv/hid /srv/hid/den /srv/over /srv/data/child /srv/legacy; zpool destroy -f tank; zpool destroy -f other; rm -rf /srv").Run()
	})
}

// get asks zfs for one column of one property.
func get(t *testing.T, column, property, name string) string {
	t.Helper()
	out, err := exec.Command("zfs", "get", "-Hp", "-o", column, property, name).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return strings.TrimSuffix(string(out), "\n")
}

// asText is a value as it is kept: a byte that is no UTF-8 as U+FFFD and its number.
func asText(s string) string {
	if s != "a\xffb\xc3" {
		return s
	}
	return "a\uFFFDffb\uFFFDc3"
}

func TestPool(t *testing.T) {
	setUp(t)
	opts := capture.PoolOptions{Mountpoints: []string{"/srv/empty", "/srv/populated", "/srv/afile", "/srv/link", "/srv/missing/x", "/srv/afile/x", "/srv/over", "/srv/hid/den", "/srv/hid"}}
	got, err := capture.Pool(context.Background(), opts)
	require.NoError(t, err)
	t.Run("every property is as zfs get says", func(t *testing.T) { compare(t, got, "") })

	t.Run("snapshots, bookmarks, holds and clones", func(t *testing.T) {
		of := func(of, name string, list []dataset.SnapshotState) dataset.SnapshotState {
			for _, s := range list {
				if s.Dataset.String() == of && s.Name == name {
					return s
				}
			}
			t.Fatalf("no %s of %s", name, of)
			panic(0)
		}
		require.Len(t, got.Snapshots, strings.Count(sh(t, "zfs list -H -t snapshot"), "\n"))
		a := of("tank/data", "a", got.Snapshots)
		for column, value := range map[string]string{"guid": a.GUID, "createtxg": strconv.FormatUint(a.CreateTXG, 10), "creation": strconv.FormatInt(a.Creation, 10),
			"referenced": strconv.FormatUint(uint64(a.Referenced), 10), "userrefs": "1"} {
			require.Equal(t, get(t, "value", column, "tank/data@a"), value, column)
		}
		require.Equal(t, []string{"keep"}, a.Holds)
		require.Len(t, a.Clones, 2)
		require.Equal(t, "tank/clone two", a.Clones[1].String())
		require.Equal(t, []string{"two words\tand\nlines"}, of("tank/vol", "r", got.Snapshots).Holds)
		require.Len(t, got.Bookmarks, 1)
		require.Equal(t, a.GUID, of("tank/data", "b", got.Bookmarks).GUID)
	})

	t.Run("mountpoints", func(t *testing.T) {
		at := map[string]dataset.Place{}
		for _, p := range got.Places {
			at[p.Path] = p
		}
		for path, want := range map[string]string{
			"/srv/empty":      "directory empty  nobody 2750",
			"/srv/populated":  "directory populated  root 0755",
			"/srv/afile":      "file   root 0644",
			"/srv/link":       "link   root 0777",
			"/srv/missing/x":  "absent    ",
			"/srv/afile/x":    "absent    ",
			"/srv/enc":        "absent    ",
			"/srv/data":       "directory empty tank/data root 0755",
			"/srv/data/child": "directory unknown stacked root 1777",
			"/srv/with blank": "directory empty tank/with blank root 0755",
			"/srv/later":      "directory populated tank/later root 0755",
			"/srv/over":       "directory populated /dev/root root 0755",
			"/srv/hid":        "directory populated two root 1777",
			"/srv/hid/den":    "absent    ",
			"/srv/unmounted":  "directory populated  root 0755",
		} {
			p, ok := at[path]
			require.True(t, ok, path)
			require.Equal(t, want, strings.Join([]string{p.Kind, p.Content, p.MountedFrom, p.User, p.Mode}, " "), path)
		}
		var hidden []string
		for _, m := range got.Mounts {
			if m.Hidden && strings.HasPrefix(m.At, "/srv/") {
				hidden = append(hidden, m.At+" "+m.Source)
			}
		}
		require.ElementsMatch(t, []string{"/srv/data/child tank/data/child", "/srv/hid/den one"}, hidden)
		require.Contains(t, got.Users, "root")
		require.Contains(t, got.Groups, "root")
	})

	t.Run("nothing is mounted or unmounted by looking", func(t *testing.T) {
		before := sh(t, "cat /proc/self/mountinfo")
		_, err := capture.Pool(context.Background(), opts)
		require.NoError(t, err)
		require.Equal(t, before, sh(t, "cat /proc/self/mountinfo"))
		sh(t, "zfs unmount '/srv/with blank'; zfs mount 'tank/with blank'")
	})

	t.Run("pools", func(t *testing.T) {
		require.Len(t, got.Pools, 2)
		p := got.Pools[1]
		require.Equal(t, "tank ONLINE 12", fmt.Sprint(p.Name, " ", p.Health, " ", p.Ashift))
		require.Equal(t, strings.TrimSpace(sh(t, "zpool get -Hp -o value guid tank")), p.GUID)
		require.NotZero(t, got.Pools[0].Ashift, "one that was not given is that of the device")
		features := strings.Fields(sh(t, `zpool get -Hp -o property,value all tank | awk '$1 ~ /^feature@/ && $2 != "disabled" { sub("feature@", "", $1); print $1 }' | sort`))
		require.Equal(t, features, p.Features)
	})

	t.Run("the command, and its file read back", func(t *testing.T) {
		sh(t, "stateward capture zfs --name guest --pool tank -o /tmp/pool.json")
		f, err := os.Open("/tmp/pool.json")
		require.NoError(t, err)
		defer f.Close()
		read, err := capture.ReadPool(f)
		require.NoError(t, err)
		require.Equal(t, "guest", read.Host)
		live, err := capture.Pool(context.Background(), capture.PoolOptions{Pools: []string{"tank"}})
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(live, read.Observed, cmpopts.EquateComparable(dataset.Name{}), cmpopts.EquateEmpty()))
	})

	t.Run("as nobody", func(t *testing.T) {
		out, err := exec.Command("su", "nobody", "-s", "/bin/sh", "-c", "/mnt/bin/stateward capture zfs -o -").CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), "zfs may not be used: Permission denied")
		// As udev has it.
		sh(t, "chmod 666 /dev/zfs")
		out, err = exec.Command("su", "nobody", "-s", "/bin/sh", "-c", "/mnt/bin/stateward capture zfs -o - 2>/dev/null").Output()
		sh(t, "chmod 600 /dev/zfs")
		require.NoError(t, err)
		read, err := capture.ReadPool(bytes.NewReader(out))
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(got.Snapshots, read.Observed.Snapshots, cmpopts.EquateComparable(dataset.Name{}), cmpopts.EquateEmpty()))
		for _, p := range read.Observed.Places {
			if p.Path == "/srv/data" {
				require.Equal(t, "unknown", p.Content, "only root can look beneath")
			}
		}
	})

	t.Run("a value that looks like lines of zfs get", func(t *testing.T) {
		for _, forged := range []string{"x\t-\tlocal\ntank/data\tquota\t5\t-\tlocal", "x\t-\tlocal\ntank/data\tcom.x:new\t5"} {
			out, err := exec.Command("zfs", "set", "com.x:forged="+forged, "tank/odd").CombinedOutput()
			require.NoError(t, err, "%s", out)
			sh(t, "zfs snapshot tank/odd@f; zfs send -p tank/odd@f | zfs receive -u other/recv/forged")
			got, err := capture.Pool(context.Background(), opts)
			require.NoError(t, err)
			compare(t, got, "com.x:forged")
			plain := opts
			plain.NoJSON = true
			_, err = capture.Pool(context.Background(), plain)
			var ambiguous *capture.AmbiguousError
			require.ErrorAs(t, err, &ambiguous)
			sh(t, "zfs destroy -r other/recv/forged; zfs destroy tank/odd@f; zfs inherit com.x:forged tank/odd")
		}
	})

	t.Run("a value that is no UTF-8", func(t *testing.T) {
		out, err := exec.Command("zfs", "set", "com.x:latin=a\xffb\xc3", "tank/odd").CombinedOutput()
		require.NoError(t, err, "%s", out)
		got, err := capture.Pool(context.Background(), opts)
		require.NoError(t, err)
		compare(t, got, "com.x:latin")
	})
}

// compare asks zfs for every single property, or only for one that users set, on the odd datasets.
func compare(t *testing.T, got *dataset.Observed, only string) {
	t.Helper()
	names := strings.Split(strings.TrimSpace(sh(t, "zfs list -H -o name -t filesystem,volume")), "\n")
	require.Len(t, got.Datasets, len(names))
	for _, name := range names {
		if only != "" && name != "tank/odd" && name != "other/recv/forged" {
			continue
		}
		n, err := dataset.ParseObservedName(name)
		require.NoError(t, err)
		d, ok := got.Dataset(n)
		require.True(t, ok, name)
		require.Equal(t, get(t, "value", "guid", name), d.GUID)
		require.Equal(t, get(t, "value", "type", name), d.Type.String())
		properties := strings.Split(strings.TrimSpace(sh(t, "zfs get -H -o property all -- '"+name+"'")), "\n")
		require.Len(t, d.Properties, len(properties), name)
		var native []string
		for _, p := range properties {
			if only != "" && p != only {
				continue
			}
			if !strings.Contains(p, ":") {
				native = append(native, p)
				continue
			}
			want := []string{asText(get(t, "value", p, name)), asText(get(t, "received", p, name)), get(t, "source", p, name)}
			require.Equal(t, want, row(d.Properties[p], want[1]), "%s %s", name, p)
		}
		if only != "" {
			continue
		}
		// No value of zfs's own here has a tab or a line end in it: one process will do.
		out, err := exec.Command("zfs", "get", "-Hp", "-o", "property,value,received,source", strings.Join(native, ","), name).CombinedOutput()
		require.NoError(t, err, "%s", out)
		for line := range strings.Lines(string(out)) {
			f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			require.Len(t, f, 4)
			require.Equal(t, f[1:], row(d.Properties[f[0]], f[2]), "%s %s", name, f[0])
		}
	}
}

// row is a property as zfs get prints it. zfs prints the same of none received and of a received "-"; and what zfs inherit hides is
// not asked for.
func row(s dataset.PropertyState, received string) []string {
	source := string(s.Source)
	switch s.Source {
	case dataset.None:
		source = "-"
	case dataset.Inherited:
		source = "inherited from " + s.From.String()
	}
	if s.Received == "" && (received == "-" || s.Source != dataset.Local && s.Source != dataset.Received) {
		return []string{s.Value, received, source}
	}
	return []string{s.Value, s.Received, source}
}
