package capture

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward/dataset"
)

var sameNames = cmpopts.EquateComparable(dataset.Name{})

func name(s string) dataset.Name {
	n, err := dataset.ParseObservedName(s)
	if err != nil {
		panic(err)
	}
	return n
}

// recorded is what OpenZFS 2.3.9 printed, on a pool that has values with tabs, line ends and letters beyond U+FFFF, a received value
// below a local one, a clone with a blank in its name, and holds with odd tags.
func recorded(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/zfs-2.3.9/" + file)
	require.NoError(t, err)
	return b
}

// standIn makes a folder with a zfs and a zpool that print what was recorded, or what the files of more say: a script for each
// of the names below.
func standIn(t *testing.T, more map[string]string) PoolOptions {
	t.Helper()
	dir := t.TempDir()
	data, err := filepath.Abs("testdata/zfs-2.3.9")
	require.NoError(t, err)
	does := map[string]string{}
	for _, f := range []string{"version", "zpool-list", "zpool-get", "zpool-get-ashift", "get-headers", "get-all", "get-received", "get-json", "list", "holds"} {
		does[f] = "cat '" + data + "/" + f + "'"
	}
	for f, script := range more {
		does[f] = script
	}
	b := new(strings.Builder)
	fmt.Fprintf(b, "#!/bin/sh\necho \"$@\" >>'%s/log'\n", dir)
	b.WriteString("case \"${0##*/} $*\" in\n")
	for _, c := range [][2]string{{"zfs version", "version"}, {"zpool list *", "zpool-list"}, {"zpool get *all-vdevs", "zpool-get-ashift"}, {"zpool get *", "zpool-get"},
		{"zfs get * -j all *", "get-json"}, {"zfs get *name,property,value,source all *", "get-all"}, {"zfs get *name,property,received *", "get-received"},
		{"zfs get *name,property all *", "get-headers"}, {"zfs list *", "list"}, {"zfs holds *", "holds"}, {"zfs get *quota@*", "quotas"}} {
		fmt.Fprintf(b, "%s)\n%s\n;;\n", strings.ReplaceAll(c[0], " ", `\ `), does[c[1]])
	}
	b.WriteString("*) echo unexpected >&2; exit 99;;\nesac\n")
	for _, f := range []string{"zfs", "zpool"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, f), []byte(b.String()), 0o755))
	}
	return PoolOptions{Env: []string{"PATH=" + dir + ":/usr/bin:/bin"}, Mountinfo: "testdata/zfs-2.3.9/mountinfo", Accounts: dir + "/none", GroupFile: dir + "/none", Timeout: time.Minute}
}

// Quotas are asked for by name, of the datasets that are there, and with one process for all.
func TestPoolQuotas(t *testing.T) {
	opts := standIn(t, map[string]string{"quotas": `printf 'tank/data\tuserquota@ada\t1073741824\ntank/data\tgroupquota@7\t-\ntank/enc\tuserquota@ada\t0\ntank/enc\tgroupquota@7\t0\n'`})
	dir, _, _ := strings.Cut(strings.TrimPrefix(opts.Env[0], "PATH="), ":")
	opts.Accounts = dir + "/passwd"
	require.NoError(t, os.WriteFile(opts.Accounts, []byte("ada:x:1000:7::/:/bin/sh\nada2:x:1000:7::/:/bin/sh\nodd:x:many:7::/:/bin/sh\n"), 0o600))
	for name, property := range map[string]string{"tank/data": "userquota@ada", "tank/enc": "groupquota@7", "tank/vol": "userquota@ada", "tank/absent": "userquota@ada"} {
		s, err := dataset.ParseSetting(property, "1G", dataset.Filesystem)
		require.NoError(t, err)
		opts.Desired.Datasets = append(opts.Desired.Datasets, dataset.Wanted{Name: dataset.MustName(name), Role: dataset.Utility, Settings: []dataset.Setting{s}})
	}
	got, err := Pool(t.Context(), opts)
	require.NoError(t, err)
	var calls []string
	for _, c := range asked(t, opts) {
		if strings.Contains(c, "quota@") {
			calls = append(calls, c)
		}
	}
	require.Equal(t, []string{"get -Hp -o name,property,value groupquota@7,userquota@ada tank/data tank/enc"}, calls)
	d, _ := got.Dataset(name("tank/data"))
	require.Equal(t, dataset.PropertyState{Value: "1073741824", Source: dataset.Local}, d.Properties["userquota@ada"])
	require.Equal(t, dataset.PropertyState{Value: "-", Source: dataset.None}, d.Properties["groupquota@7"])
	require.Equal(t, []string{"ada", "ada2", "odd"}, got.Users)
	require.Equal(t, map[string]uint32{"ada": 1000, "ada2": 1000}, got.UserIDs)
}

// What lies on a pool that does not answer is not looked at: whoever asks waits for ever.
func TestNothingIsAskedOfASuspendedPool(t *testing.T) {
	o := &dataset.Observed{Pools: []dataset.Pool{{Name: "cold", Unread: "the pool is SUSPENDED"}, {Name: "tank"}}, Mounts: []dataset.Mount{
		{At: "/", Source: "/dev/vda", FSType: "ext4"}, {At: "/srv", Source: "tank/srv", FSType: "zfs"}, {At: "/srv/cold", Source: "cold/a", FSType: "zfs"},
		{At: "/srv/cold/x", Source: "tank/x", FSType: "zfs"}, {At: "/srv/over", Source: "cold/b", FSType: "zfs", Hidden: true}, {At: "/srv/over", Source: "tank/o", FSType: "zfs"}}}
	for path, blocked := range map[string]bool{"/": false, "/srv": false, "/srv/cold": true, "/srv/cold/deep/er": true, "/srv/colder": false, "/srv/cold/x": false, "/srv/cold/x/y": false, "/srv/over": false} {
		problem := unanswering(o, path)
		require.Equal(t, blocked, problem != "", path)
		if blocked {
			require.Equal(t, "it lies on pool cold, which was not read: the pool is SUSPENDED", problem)
		}
	}
}

// asked counts the processes.
func asked(t *testing.T, o PoolOptions) []string {
	t.Helper()
	dir, _, _ := strings.Cut(strings.TrimPrefix(o.Env[0], "PATH="), ":")
	b, err := os.ReadFile(dir + "/log")
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

func TestPool(t *testing.T) {
	opts := standIn(t, nil)
	got, err := Pool(t.Context(), opts)
	require.NoError(t, err)
	require.Len(t, asked(t, opts), 9, "the number of processes does not depend on what there is")
	require.Equal(t, "2.3.9", got.ZFS)
	require.Equal(t, "2.3.9", got.Module)
	require.Len(t, got.Pools, 1)
	require.Contains(t, got.Pools[0].Features, "encryption")
	got.Pools[0].Features = nil
	require.Equal(t, dataset.Pool{Name: "tank", GUID: "11495444434602432970", Health: "ONLINE", Ashift: 9, Size: 503316480, Free: 502833664}, got.Pools[0])

	var names []string
	for _, d := range got.Datasets {
		names = append(names, d.Name.String()+" "+d.Type.String())
	}
	require.Equal(t, []string{"tank filesystem", "tank/clone filesystem", "tank/clone two filesystem", "tank/data filesystem", "tank/enc filesystem", "tank/recv filesystem", "tank/vol volume",
		"tank/with blank filesystem"}, names)
	of := func(dataset, property string) (p any) {
		d, ok := got.Dataset(name(dataset))
		require.True(t, ok)
		s, ok := d.Properties[property]
		require.True(t, ok)
		return s
	}
	const note = "a\tb\t-\tlocal\nc \"q\" é😀 %\n"
	for _, p := range []struct {
		dataset, property string
		want              dataset.PropertyState
	}{
		{"tank", "type", dataset.PropertyState{Value: "filesystem", Source: dataset.None}},
		{"tank", "atime", dataset.PropertyState{Value: "on", Source: dataset.Default}},
		{"tank/data", "recordsize", dataset.PropertyState{Value: "16384", Source: dataset.Local}},
		{"tank/data", "com.x:note", dataset.PropertyState{Value: note, Source: dataset.Local}},
		{"tank/clone", "mountpoint", dataset.PropertyState{Value: "none", Source: dataset.Local}},
		{"tank/enc", "keystatus", dataset.PropertyState{Value: "unavailable", Source: dataset.None}},
		{"tank/recv", "quota", dataset.PropertyState{Value: "2097152", Source: dataset.Local, Received: "1048576"}},
		{"tank/recv", "recordsize", dataset.PropertyState{Value: "16384", Source: dataset.Received, Received: "16384"}},
		{"tank/recv", "com.x:note", dataset.PropertyState{Value: "hides", Source: dataset.Local, Received: note}},
	} {
		require.Equal(t, p.want, of(p.dataset, p.property), "%s %s", p.dataset, p.property)
	}
	require.Empty(t, cmp.Diff([]dataset.SnapshotState{
		{Dataset: name("tank/data"), Name: "a", GUID: "11370614896447013271", CreateTXG: 17, Creation: 1795347615, Referenced: 24576, Written: 24576, Holds: []string{"keep", "two words\tand\nlines"},
			Clones: []dataset.Name{name("tank/clone"), name("tank/clone two")}},
		{Dataset: name("tank/data"), Name: "s", GUID: "6626917930420564602", CreateTXG: 26, Creation: 1795347615, Referenced: 24576},
		{Dataset: name("tank/recv"), Name: "s", GUID: "6626917930420564602", CreateTXG: 43, Creation: 1795347615, Referenced: 24576, Written: 24576},
	}, got.Snapshots, sameNames))
	require.Empty(t, cmp.Diff([]dataset.SnapshotState{{Dataset: name("tank/data"), Name: "b", GUID: "11370614896447013271", CreateTXG: 17, Creation: 1795347615, Referenced: 24576}}, got.Bookmarks, sameNames))
	var paths []string
	for _, p := range got.Places {
		paths = append(paths, p.Path+" "+p.Kind)
	}
	require.Equal(t, []string{"/srv/data absent", "/srv/enc absent", "/srv/with blank absent"}, paths)

	again, err := Pool(t.Context(), opts)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(got.Datasets, again.Datasets, sameNames))
}

// Where no dataset has a value of its own one process less is asked.
func TestPoolAsksForReceivedValuesOnlyWhereTheyMayBeHidden(t *testing.T) {
	opts := standIn(t, map[string]string{
		"get-headers": `printf 'tank\ttype\ntank\tguid\n'`, "get-all": `printf 'tank\ttype\tfilesystem\t-\ntank\tguid\t7\t-\n'`,
		"list": "true", "get-received": "exit 9",
	})
	got, err := Pool(t.Context(), opts)
	require.NoError(t, err)
	require.Equal(t, "7", got.Datasets[0].GUID)
	require.Equal(t, []dataset.SnapshotState{}, got.Snapshots)
}

func TestPoolOfNone(t *testing.T) {
	opts := standIn(t, map[string]string{"zpool-list": "true", "get-headers": "exit 9"})
	opts.Mountpoints = []string{t.TempDir() + "/", "/nonexistent/x"}
	got, err := Pool(t.Context(), opts)
	require.NoError(t, err)
	require.Equal(t, []dataset.Pool{}, got.Pools)
	require.Len(t, got.Places, 2)
	require.Equal(t, dataset.Place{Path: "/nonexistent/x", Kind: "absent"}, got.Places[0])
	require.Equal(t, "empty", got.Places[1].Content)
}

// Of a pool that waits for its disks nothing is asked but its state.
func TestPoolSuspended(t *testing.T) {
	opts := standIn(t, map[string]string{"zpool-list": `printf 'tank\t7\tSUSPENDED\toff\t12\t-\t-\t-\n'`, "zpool-get": "sleep 60", "get-headers": "sleep 60"})
	got, err := Pool(t.Context(), opts)
	require.NoError(t, err)
	require.Equal(t, []dataset.Pool{{Name: "tank", GUID: "7", Health: "SUSPENDED", Ashift: 12, Unread: "the pool is SUSPENDED"}}, got.Pools)
	require.Empty(t, got.Datasets)
}

func TestPoolErrors(t *testing.T) {
	for _, tt := range []struct {
		name  string
		does  map[string]string
		fault ZFSFault
		want  string
	}{
		// As zfs 2.3.9 printed them.
		{"no module", map[string]string{"version": `printf 'The ZFS modules cannot be auto-loaded.\nTry running '"'modprobe zfs'"' as root to manually load them.\n' >&2; exit 1`}, ZFSNotLoaded,
			"the zfs module is not loaded: The ZFS modules cannot be auto-loaded. Try running 'modprobe zfs' as root to manually load them."},
		{"no right", map[string]string{"version": "echo 'Permission denied the ZFS utilities must be run as root.' >&2; exit 1"}, ZFSDenied,
			"zfs may not be used: Permission denied the ZFS utilities must be run as root."},
		{"something else", map[string]string{"list": "echo 'internal error' >&2; exit 1"}, ZFSFailed, "zfs list: internal error"},
		{"silent", map[string]string{"list": "exit 1"}, ZFSFailed, "zfs list: zfs exited with status 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Pool(t.Context(), standIn(t, tt.does))
			var ze *ZFSError
			require.ErrorAs(t, err, &ze)
			require.Equal(t, tt.fault, ze.Fault)
			require.EqualError(t, err, tt.want)
		})
	}
	t.Run("not installed", func(t *testing.T) {
		_, err := Pool(t.Context(), PoolOptions{Env: []string{"PATH=/nonexistent"}})
		var ze *ZFSError
		require.ErrorAs(t, err, &ze)
		require.Equal(t, ZFSNotInstalled, ze.Fault)
		require.NotEmpty(t, ze.Hint())
	})
	t.Run("no such pool", func(t *testing.T) {
		opts := standIn(t, nil)
		opts.Pools = []string{"tnak"}
		_, err := Pool(t.Context(), opts)
		require.EqualError(t, err, `pool "tnak" is not imported`)
	})
	t.Run("does not answer", func(t *testing.T) {
		opts := standIn(t, map[string]string{"list": "sleep 60"})
		opts.Timeout = 3 * time.Second
		began := time.Now()
		_, err := Pool(t.Context(), opts)
		var ze *ZFSError
		require.ErrorAs(t, err, &ze)
		require.Equal(t, ZFSTimeout, ze.Fault)
		require.EqualError(t, err, "zfs list does not answer: no answer within 3s")
		require.Less(t, time.Since(began), 30*time.Second)
	})
	t.Run("told to stop", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := Pool(ctx, standIn(t, nil))
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("relative mountpoint", func(t *testing.T) {
		_, err := Pool(t.Context(), PoolOptions{Mountpoints: []string{"srv"}})
		require.EqualError(t, err, `mountpoint "srv" is no absolute path`)
	})
}

// What changes between two processes is read anew, and no more than twice.
func TestPoolReadsAnewWhatChanged(t *testing.T) {
	t.Run("once", func(t *testing.T) {
		dir := t.TempDir()
		// The first time a dataset is there that the second process does not see.
		opts := standIn(t, map[string]string{"get-headers": fmt.Sprintf(`cat '%[1]s/headers'; if mkdir '%[2]s/once' 2>/dev/null; then printf 'tank/gone\ttype\n'; fi`, mustAbs(t, "testdata/zfs-2.3.9")+"/.", dir)})
		require.NoError(t, replaceIn(opts, mustAbs(t, "testdata/zfs-2.3.9")+"/./headers", mustAbs(t, "testdata/zfs-2.3.9")+"/get-headers"))
		got, err := Pool(t.Context(), opts)
		require.NoError(t, err)
		require.Len(t, got.Datasets, 8)
	})
	for what, does := range map[string]map[string]string{
		"a dataset that went":      {"get-headers": `printf 'tank\ttype\ntank/x\ttype\n'`, "get-all": `printf 'tank\ttype\tfilesystem\t-\n'`},
		"a snapshot of none":       {"list": `printf 'tank/new@a\t1\t1\t1\t0\t0\t0\t0\t-\n'`},
		"a snapshot that went":     {"holds": `echo "cannot open 'tank/data@a': dataset does not exist" >&2; exit 1`},
		"a pool that was exported": {"get-all": `echo "cannot open 'tank': no such pool" >&2; exit 1`},
	} {
		t.Run(what, func(t *testing.T) {
			opts := standIn(t, does)
			_, err := Pool(t.Context(), opts)
			require.ErrorContains(t, err, "changed while the pools were read, three times in a row")
			n := 0
			for _, line := range asked(t, opts) {
				if line == "version" {
					n++
				}
			}
			require.Equal(t, 3, n)
		})
	}
	// The same each time, it is no change: a value looks like the line of a dataset that is not there.
	t.Run("a dataset that comes three times", func(t *testing.T) {
		_, err := Pool(t.Context(), standIn(t, map[string]string{"get-headers": `printf 'tank\ttype\n'`, "get-json": "exit 2"}))
		require.EqualError(t, err, `value of "type" of dataset "tank" cannot be told from what follows it: it has line ends and tabs`)
	})
	t.Run("holds that do not add up", func(t *testing.T) {
		_, err := Pool(t.Context(), standIn(t, map[string]string{"holds": `printf 'tank/data@a\tone\tSun\n'`}))
		require.EqualError(t, err, `tags of the holds of "tank/data@a" cannot be told from one another`)
	})
}

func mustAbs(t *testing.T, p string) string {
	t.Helper()
	abs, err := filepath.Abs(p)
	require.NoError(t, err)
	return abs
}

func replaceIn(o PoolOptions, old, with string) error {
	dir, _, _ := strings.Cut(strings.TrimPrefix(o.Env[0], "PATH="), ":")
	for _, f := range []string{"zfs", "zpool"} {
		b, err := os.ReadFile(dir + "/" + f)
		if err != nil {
			return err
		}
		if err := os.WriteFile(dir+"/"+f, bytes.ReplaceAll(b, []byte(old), []byte(with)), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// table is what a text says of each property, in order.
func table(r *readings) []string {
	var out []string
	for i, p := range r.values {
		out = append(out, fmt.Sprintf("%s %s=%q %s %s %q", r.keys[i][0], r.keys[i][1], p.Value, p.Source, p.From, p.Received))
	}
	return out
}

// A value may look like whatever zfs prints. It is read as what it is, with the help of JSON where need be, or refused.
func TestReadingsOfOddValues(t *testing.T) {
	const headers = "t\tquota\nt\tu:a\nt/b\tquota\n"
	for _, tt := range []struct {
		name, all, received, json string
		locals, want              []string
		err                       string
	}{
		{
			name: "plain", all: "t\tquota\t0\tdefault\nt\tu:a\tx\treceived\nt/b\tquota\t5\tinherited from t\n",
			want: []string{`t quota="0" default  ""`, `t u:a="x" received  "x"`, `t/b quota="5" inherited t ""`},
		},
		{
			name: "hidden", all: "t\tquota\t0\tdefault\nt\tu:a\tx\tlocal\nt/b\tquota\t5\tlocal\n", received: "t\tquota\t6\nt\tu:a\ty\t-\nz\nt/b\tquota\t7\nt/b\tu:a\t-\n",
			want: []string{`t quota="0" default  ""`, `t u:a="x" local  "y\t-\nz"`, `t/b quota="5" local  "7"`},
		},
		{
			name: "hidden, and like a line of another", all: "t\tquota\t0\tdefault\nt\tu:a\tx\tlocal\nt/b\tquota\t5\tlocal\n", received: "t\tquota\t6\nt\tu:a\ty\nt/b\tquota\t9\nt/b\tquota\t7\nt/b\tu:a\t-\n",
			err: `zfs prints "quota" of dataset "t/b" twice: another property has a value that looks like it`,
		},
		{
			name: "received, and like a line of another", all: "t\tquota\t0\tlocal\nt\tu:a\tx\nt/b\tu:a\ty\treceived\nt/b\tquota\t5\tlocal\n", received: "t\tquota\t6\nt\tu:a\tx\nt/b\tu:a\ty\nt/b\tquota\t7\nt/b\tu:a\t-\n",
			json: `"x\nt/b\tu:a\ty"`, locals: []string{"quota", "u:a"},
			want: []string{`t quota="0" local  "6"`, `t u:a="x\nt/b\tu:a\ty" received  "x\nt/b\tu:a\ty"`, `t/b quota="5" local  "7"`},
		},
		{
			name: "empty", all: "t\tquota\t0\tdefault\nt\tu:a\t\tlocal\nt/b\tquota\t5\ttemporary\n",
			want: []string{`t quota="0" default  ""`, `t u:a="" local  ""`, `t/b quota="5" temporary  ""`},
		},
		{
			name: "lines", all: "t\tquota\t0\tdefault\nt\tu:a\tx\n\ny\n\tlocal\nt/b\tquota\t5\tlocal\n",
			want: []string{`t quota="0" default  ""`, `t u:a="x\n\ny\n" local  ""`, `t/b quota="5" local  ""`},
		},
		{
			name: "tabs", all: "t\tquota\t0\tdefault\nt\tu:a\tx\tlocal\tlocal\nt/b\tquota\t5\tlocal\n",
			want: []string{`t quota="0" default  ""`, `t u:a="x\tlocal" local  ""`, `t/b quota="5" local  ""`},
		},
		{
			name: "a line of another", all: "t\tquota\t0\tdefault\nt\tu:a\tx\tlocal\nt/b\tquota\t9\tlocal\nt/b\tquota\t5\tlocal\n",
			err: `zfs prints "quota" of dataset "t/b" twice: another property has a value that looks like it`,
		},
		{
			name: "a line of another, with JSON", all: "t\tquota\t0\tdefault\nt\tu:a\tx\tlocal\nt/b\tquota\t9\tlocal\nt/b\tquota\t5\tlocal\n",
			json: `"x\tlocal\nt/b\tquota\t9"`,
			want: []string{`t quota="0" default  ""`, `t u:a="x\tlocal\nt/b\tquota\t9" local  ""`, `t/b quota="5" local  ""`},
		},
		{
			name: "a line of another, with JSON that lost a letter", all: "t\tquota\t0\tdefault\nt\tu:a\tx😀\tlocal\nt/b\tquota\t9\tlocal\nt/b\tquota\t5\tlocal\n",
			json: `"x\tlocal\nt/b\tquota\t9"`,
			err:  `zfs prints "quota" of dataset "t/b" twice: another property has a value that looks like it`,
		},
		{
			name: "a line of nobody", all: "t\tquota\t0\tdefault\nt\tu:a\tx\tlocal\nt/c\tquota\t9\tlocal\nt/b\tquota\t5\tlocal\n",
			err: "dataset t/c changed while the pools were read, three times in a row",
		},
		{name: "cut off", all: "t\tquota\t0\tdefault\nt\tu:a\tx", err: `zfs get printed a line that is not understood: "t\tu:a\tx"`},
		{name: "cut short", all: "t\tquota\t0\tdefault\n", err: "a dataset changed while the pools were read, three times in a row"},
		{name: "unknown source", all: "t\tquota\t0\tnowhere\n", err: `zfs get printed a line that is not understood: "t\tquota\t0\tnowhere"`},
		{name: "another program's", all: "hello\n", err: `zfs get printed a line that is not understood: "hello"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newReadings()
			require.NoError(t, r.headers([]byte(headers)))
			var hints jsonHints
			if tt.json != "" {
				hints = parseJSON([]byte(`{"output_version":{"command":"zfs get","vers_major":0},"datasets":{"t":{"properties":{"u:a":{"value":` + tt.json + `,"source":{"type":"LOCAL"}}}}}}`))
				require.NotNil(t, hints)
			}
			err := r.all([]byte(tt.all), hints)
			if err == nil && tt.received != "" {
				// Another dataset may have one of its own where this has none.
				if tt.locals == nil {
					tt.locals = r.local()
				}
				err = r.received([]byte(tt.received), tt.locals)
			}
			if tt.err != "" {
				require.EqualError(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(tt.want, table(r)))
		})
	}
}

// What JSON says, and what the text says, is the same for all that JSON can hold.
func TestJSONAndTextAgree(t *testing.T) {
	r := newReadings()
	require.NoError(t, r.headers(recorded(t, "get-headers")))
	require.NoError(t, r.all(recorded(t, "get-all"), nil))
	hints := parseJSON(recorded(t, "get-json"))
	n := 0
	for dataset, d := range hints {
		for property, p := range d.Properties {
			n++
			i, ok := r.find([]byte(dataset), []byte(property), 0)
			require.True(t, ok, "%s %s", dataset, property)
			v := r.values[i]
			require.Equal(t, strings.ReplaceAll(v.Value, "😀", ""), p.Value, "%s %s", dataset, property)
		}
	}
	require.Equal(t, len(r.values), n)
	require.Nil(t, parseJSON(recorded(t, "get-json")[:2000]), "what a value that is no UTF-8 leaves of it")
	require.Nil(t, parseJSON([]byte(`{}`)))
}

// Whatever the values are, they are read as they were set, or not at all.
func TestReadingsNeverMisread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "-", "\t", "\n", "local", "t", "t/b", "u:a", "u:b", "quota", "t\tu:a\t", "\nt/b\tu:b\t", "\t-\tlocal\n", "default"}), 0, 9).Draw(t, "parts"), "")
		})
		type prop struct{ dataset, name, value, received string }
		props := []prop{{dataset: "t", name: "u:a"}, {dataset: "t", name: "u:b"}, {dataset: "t/b", name: "u:a"}, {dataset: "t/b", name: "u:b"}}
		var headers, all, received strings.Builder
		for i := range props {
			p := &props[i]
			p.value = value.Draw(t, "value")
			if p.received = "-"; rapid.Bool().Draw(t, "was received") {
				p.received = value.Draw(t, "received")
			}
			fmt.Fprintf(&headers, "%s\t%s\n", p.dataset, p.name)
			fmt.Fprintf(&all, "%s\t%s\t%s\tlocal\n", p.dataset, p.name, p.value)
			fmt.Fprintf(&received, "%s\t%s\t%s\n", p.dataset, p.name, p.received)
		}
		r := newReadings()
		require.NoError(t, r.headers([]byte(headers.String())))
		err := r.all([]byte(all.String()), nil)
		if err == nil {
			err = r.received([]byte(received.String()), r.local())
		}
		if err != nil {
			return
		}
		for i, p := range props {
			want := p.received
			if want == "-" {
				want = ""
			}
			require.Equal(t, []string{p.value, want}, []string{r.values[i].Value, r.values[i].Received})
		}
	})
}

func TestMountinfo(t *testing.T) {
	all := func(data string) []string {
		m, err := parseMountinfo([]byte(data))
		require.NoError(t, err)
		var out []string
		for _, m := range m {
			out = append(out, fmt.Sprintf("%q %q %s %s ro=%t hidden=%t", m.At, m.Source, m.FSType, m.Root, m.ReadOnly, m.Hidden))
		}
		return out
	}
	for _, tt := range []struct {
		name, data string
		want       []string
	}{
		{"recorded", string(recorded(t, "mountinfo"))[strings.Index(string(recorded(t, "mountinfo")), "24 16"):], []string{
			`"/srv/data" "tank/data" zfs / ro=false hidden=false`,
			`"/srv/with blank" "tank/with blank" zfs / ro=false hidden=false`,
			`"/srv/pop" "tank/data" zfs / ro=false hidden=true`,
			`"/srv/pop" "t" tmpfs / ro=false hidden=false`,
		}},
		{"escapes and optional fields", `1 0 0:1 /a\134b /x\011y\012z\040\134040 ro shared:3 master:4 propagate_from:5 - ext4 /dev/sd\040a rw` + "\n", []string{`"/x\ty\nz \\040" "/dev/sd a" ext4 /a\b ro=true hidden=false`}},
		{"read-only file system", "1 0 0:1 / /x rw - zfs t ro,xattr\n", []string{`"/x" "t" zfs / ro=true hidden=false`}},
		{"no options", "1 0 0:1 / /x rw - zfs t\n", []string{`"/x" "t" zfs / ro=false hidden=false`}},
		{"covered from above", "1 0 0:1 / / rw - a a rw\n2 1 0:2 / /s/d rw - b b rw\n3 2 0:3 / /s/d/e rw - c c rw\n4 1 0:4 / /s rw - d d rw\n5 4 0:5 / /s/d rw - e e rw\n", []string{
			`"/" "a" a / ro=false hidden=false`, `"/s/d" "b" b / ro=false hidden=true`, `"/s/d/e" "c" c / ro=false hidden=true`,
			`"/s" "d" d / ro=false hidden=false`, `"/s/d" "e" e / ro=false hidden=false`,
		}},
		{"covered at its root after something was mounted in it", "1 0 0:1 / / rw - a a rw\n2 1 0:2 / /s rw - b b rw\n3 2 0:3 / /s/d rw - c c rw\n4 2 0:4 / /s rw - d d rw\n", []string{
			`"/" "a" a / ro=false hidden=false`, `"/s" "b" b / ro=false hidden=true`, `"/s/d" "c" c / ro=false hidden=true`, `"/s" "d" d / ro=false hidden=false`,
		}},
		{"a name that begins like another", "1 0 0:1 / / rw - a a rw\n2 1 0:2 / /srv rw - b b rw\n3 1 0:3 / /srv2 rw - c c rw\n", []string{
			`"/" "a" a / ro=false hidden=false`, `"/srv" "b" b / ro=false hidden=false`, `"/srv2" "c" c / ro=false hidden=false`,
		}},
		{"the root of the system over the initial one", "1 1 0:1 / / rw - rootfs none rw\n2 1 0:2 / / rw - zfs r rw\n3 2 0:3 / /x rw - c c rw\n", []string{
			`"/" "none" rootfs / ro=false hidden=true`, `"/" "r" zfs / ro=false hidden=false`, `"/x" "c" c / ro=false hidden=false`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) { require.Empty(t, cmp.Diff(tt.want, all(tt.data))) })
	}
	for _, bad := range []string{"\n", "1 0 0:1 / /x rw\n", "x 0 0:1 / /x rw - a b\n", "1 0 0:1 / x rw - a b\n", "1 0 0:1 / /x - a b c\n", "1 0 0:1 / /x rw - a\n"} {
		_, err := parseMountinfo([]byte(bad))
		var me *MountinfoError
		require.ErrorAs(t, err, &me, bad)
	}
}

func TestParsersRefuse(t *testing.T) {
	for _, line := range []string{"x\n", "tank\t1\tONLINE\toff\t12\t1\t1\n", "tank\tx\tONLINE\toff\t12\t1\t1\t-\n", "tank/a\t1\tONLINE\toff\t12\t1\t1\t-\n", "tank\t1\tONLINE\toff\t99\t1\t1\t-\n", "tank\t1\tONLINE\toff\t12\t1\t1\t-"} {
		_, err := parsePools([]byte(line))
		require.Error(t, err, line)
	}
	for _, line := range []string{"x\n", "t@a\t1\t1\t1\t0\t0\t0\t0\n", "t\t1\t1\t1\t0\t0\t0\t0\t-\n", "t@\t1\t1\t1\t0\t0\t0\t0\t-\n", "t@a\t-\t1\t1\t0\t0\t0\t0\t-\n", "t@a\t1\t1\t1\t0\t0\t0\t0\tt@b\n", "t@a\t1\t1\t1\t0\t0\t0\t0\t-"} {
		_, _, _, err := parseSnapshots([]byte(line))
		require.Error(t, err, line)
	}
	require.Error(t, parseFeatures([]byte("t\tfeature@a\tactive\nt\tfeature@a\tdisabled\n"), []dataset.Pool{{Name: "t"}}))
	for out, want := range map[string]string{"zfs-2.3.9-0+deb13u1\nzfs-kmod-2.3.9\n": "2.3.9 true", "zfs-2.2.7\n": "2.2.7 false", "zfs-2.10.0-rc1\n": "2.10.0 true", "zfs-3.0\n": "3.0 true", "": " false", "x": "x false"} {
		v, newer := parseVersion([]byte(out))
		require.Equal(t, want, fmt.Sprint(v, " ", newer))
	}
}

func TestHoldsInBatches(t *testing.T) {
	held := map[string]int{}
	for i := range 2500 {
		held[fmt.Sprintf("tank/%060d@a", i)] = 1
	}
	got := batches(held)
	all := slices.Concat(got...)
	require.Len(t, all, 2500)
	require.True(t, slices.IsSorted(all))
	for _, b := range got {
		require.LessOrEqual(t, len(b), maxHoldArgs)
		require.LessOrEqual(t, len(strings.Join(b, " ")), maxHoldBytes+100)
	}
	require.Len(t, got, 3)
}

func FuzzMountinfo(f *testing.F) {
	f.Add(recorded(f, "mountinfo"))
	f.Add([]byte("1 1 0:1 / / rw - rootfs none rw\n2 1 0:2 / / rw - zfs r rw\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		mounts, err := parseMountinfo(data)
		if err == nil && len(mounts) != bytes.Count(data, []byte{'\n'}) && bytes.HasSuffix(data, []byte{'\n'}) {
			t.Fatalf("%d mounts of %q", len(mounts), data)
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add(recorded(f, "get-headers"), recorded(f, "get-all"), recorded(f, "get-received"), recorded(f, "list"), recorded(f, "holds"))
	f.Add([]byte("t\ta\n"), []byte("t\ta\tb\tc\tlocal\n"), []byte("t\ta\td\n"), []byte("t#a\t1\t1\t1\t-\t-\t-\t-\t-\n"), []byte("t@a\tx\ty\n"))
	f.Fuzz(func(t *testing.T, headers, all, received, list, holds []byte) {
		r := newReadings()
		if r.headers(headers) == nil {
			if r.all(all, nil) == nil {
				_ = r.received(received, r.local())
				// Printed again it is the same.
				var b bytes.Buffer
				for i, p := range r.values {
					source := string(p.Source)
					switch p.Source {
					case dataset.None:
						source = "-"
					case dataset.Inherited:
						source = "inherited from " + p.From.String()
					}
					fmt.Fprintf(&b, "%s\t%s\t%s\t%s\n", r.keys[i][0], r.keys[i][1], p.Value, source)
				}
				if a, b := b.Len(), len(all); a > b {
					t.Fatalf("%d bytes came of %d", a, b)
				}
				_, _ = r.states()
			}
		}
		_, _, held, err := parseSnapshots(list)
		if err == nil {
			_ = parseHolds(holds, held, map[string][]string{})
		}
		_, _ = parsePools(headers)
		_ = parseFeatures(all, []dataset.Pool{{Name: "t"}})
	})
}

func FuzzJSON(f *testing.F) {
	f.Add(recorded(f, "get-json"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if h := parseJSON(data); h != nil {
			_ = h.begins([2]string{"t", "a"})
		}
	})
}

// manyDatasets is what zfs prints of n datasets with 75 properties each.
func manyDatasets(n int) (headers, all []byte) {
	var h, a bytes.Buffer
	for i := range n {
		for j := range 75 {
			p, v := fmt.Sprintf("property%d", j), "off"
			switch j {
			case 0:
				p, v = "type", "filesystem"
			case 1:
				p, v = "guid", fmt.Sprint(uint64(i)<<32+7)
			case 2, 3, 4, 5:
				v = fmt.Sprint(i * j * 4096)
			}
			fmt.Fprintf(&h, "tank/services/d%05d\t%s\n", i, p)
			fmt.Fprintf(&a, "tank/services/d%05d\t%s\t%s\tinherited from tank/services\n", i, p, v)
		}
	}
	return h.Bytes(), a.Bytes()
}

// Reading 10,000 datasets, beside merely finding the ends of the lines and the tabs.
func BenchmarkReadings(b *testing.B) {
	headers, all := manyDatasets(10000)
	b.Run("split", func(b *testing.B) {
		b.SetBytes(int64(len(headers) + len(all)))
		for b.Loop() {
			n := 0
			for _, text := range [][]byte{headers, all} {
				for line := range bytes.Lines(text) {
					n += len(bytes.Split(line, []byte{'\t'}))
				}
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(headers) + len(all)))
		b.ReportAllocs()
		for b.Loop() {
			r := newReadings()
			if err := r.headers(headers); err != nil {
				b.Fatal(err)
			}
			if err := r.all(all, nil); err != nil {
				b.Fatal(err)
			}
			if s, err := r.states(); err != nil || len(s) != 10000 {
				b.Fatal(err)
			}
		}
	})
}
