package capture

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/dataset"
)

func poolFile(t testing.TB) *PoolFile {
	t.Helper()
	none := dataset.PropertyState{Value: "x", Source: dataset.None}
	return NewPoolFile("forge", time.Date(2026, 3, 14, 8, 26, 53, 7, time.UTC), &dataset.Observed{
		ZFS: "2.3.9", LeftOut: []string{"rpool", "vault"},
		Pools: []dataset.Pool{{Name: "cold", GUID: "1", Health: "SUSPENDED", Unread: "the pool is SUSPENDED"}, {Name: "tank", GUID: "7", Health: "ONLINE", Ashift: 12, Features: []string{"a"}, Size: 10, Free: 9}},
		Datasets: []dataset.State{
			{Name: name("tank"), Type: dataset.Filesystem, GUID: "7", Properties: map[string]dataset.PropertyState{"type": none}},
			{Name: name("tank/a b"), Type: dataset.Volume, GUID: "8", Properties: map[string]dataset.PropertyState{
				"u:x": {Value: "a\tb\n<&>\uFFFDff", Source: dataset.Received, Received: "a\tb\n<&>\uFFFDff"}, "atime": {Value: "on", Source: dataset.Inherited, From: name("tank")}}},
		},
		Snapshots: []dataset.SnapshotState{{Dataset: name("tank/a b"), Name: "s", GUID: "9", CreateTXG: 4, Creation: 5, Holds: []string{"k"}, Clones: []dataset.Name{name("tank")}}},
		Bookmarks: []dataset.SnapshotState{},
		Mounts:    []dataset.Mount{{At: "/srv", Source: "tank", FSType: "zfs", Root: "/", Hidden: true}},
		Places: []dataset.Place{{Path: "/a", Kind: "absent"}, {Path: "/srv", Kind: "directory", Content: "unknown", MountedFrom: "tank", UID: 5, GID: 6, User: "u", Mode: "0755"},
			{Path: "/x", Kind: "unknown", Problem: "cannot be looked at: permission denied"}},
		Users: []string{"root", "svc"}, Groups: []string{}, UserIDs: map[string]uint32{"root": 0}, Module: "2.3.8",
	})
}

func TestPoolFileIsReadBack(t *testing.T) {
	f := poolFile(t)
	var b bytes.Buffer
	require.NoError(t, f.Write(&b))
	got, err := ReadPool(bytes.NewReader(b.Bytes()))
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(f, got, sameNames))
	var again bytes.Buffer
	require.NoError(t, got.Write(&again))
	require.Equal(t, b.String(), again.String())
	require.Equal(t, 2+6+2+2+1+1+3+3, strings.Count(b.String(), "\n"), "one line each")
}

func TestPoolFileHidesCredentials(t *testing.T) {
	for value, want := range map[string]string{
		"prompt": "prompt", "none": "none", "file:///run/keys/a?b@c": "file:///run/keys/a?b@c", "https://h/key": "https://h/key",
		"https://user:hunter2@h:8/key":   "https://REDACTED@h:8/key",
		"http://hunter2@h/key":           "http://REDACTED@h/key",
		"https://h/key?token=hunter2":    "https://h/key?REDACTED",
		"https://h/key#hunter2":          "https://h/key#REDACTED",
		"https://user:hunter2%zz@h/key":  "https://REDACTED",
		"https://user:hunt er2@h/k\x01y": "https://REDACTED",
		"https://user:hunter2/@h/key":    "https://REDACTED",
	} {
		f := poolFile(t)
		p := f.Observed.Datasets[0].Properties
		p["keylocation"] = dataset.PropertyState{Value: value, Source: dataset.Local, Received: value}
		p["u:kept"] = dataset.PropertyState{Value: "https://a:b@c", Source: dataset.Local}
		var b bytes.Buffer
		require.NoError(t, f.Write(&b))
		require.NotContains(t, b.String(), "hunter2")
		got, err := ReadPool(&b)
		require.NoError(t, err)
		require.Equal(t, dataset.PropertyState{Value: want, Source: dataset.Local, Received: want}, got.Observed.Datasets[0].Properties["keylocation"])
		require.Equal(t, "https://a:b@c", got.Observed.Datasets[0].Properties["u:kept"].Value)
		require.Equal(t, value, p["keylocation"].Value, "what was observed stays as it is")
	}
}

func TestReadPoolRefuses(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, poolFile(t).Write(&b))
	text := b.String()
	replace := func(old, with string) string {
		require.Contains(t, text, old)
		return strings.Replace(text, old, with, 1)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", " \n", "capture is empty"},
		{"no JSON", "kind: x", "capture is not understood: line 1: is no JSON: invalid character 'k' looking for beginning of value"},
		{"bytes", "{\"kind\": \"\xff\"}", "capture is no UTF-8"},
		{"another program's", `{"datasets": {}}`, `kind is none and not "stateward-pool": the file is no capture of pools`},
		{"the other capture", `{"kind": "stateward-capture", "version": 1}`, `kind is "stateward-capture" and not "stateward-pool": the file lists directories`},
		{"a later version", replace(`"version": 2`, `"version": 3`), "version is 3; this stateward reads 1 and 2"},
		{"a number of nobody", replace(`"userIDs": {"root":0}`, `"userIDs": {"ada":0}`), `observed.userIDs has "ada", which is none of the names`},
		{"no version", replace(`"version": 2, `, ``), "version is none; this stateward reads 1 and 2"},
		{"cut off", text[:len(text)/2], "capture is not understood: line 7: its JSON ends too early"},
		{"something behind", text + "{}", "capture is not understood: line 21: there is more behind its JSON"},
		{"an unknown field", replace(`"health"`, `"helth"`), `capture is not understood: line 3: "observed.pools.helth" is no field`},
		{"a field twice", replace(`"guid":"8",`, `"guid":"8","GUID":"9",`), `capture is not understood: line 7: "observed.datasets.GUID" is no field`},
		{"a property twice", replace(`"atime":`, `"u:x":{"value":"","source":"local"},"atime":`), `capture is not understood: line 7: "observed.datasets.properties.u:x" is there twice`},
		{"no list", replace(`"bookmarks": []`, `"bookmarks": null`), "observed lacks one of pools, datasets, snapshots, bookmarks, mounts, places"},
		{"a line lost", replace(`{"name":"tank","type":"filesystem","guid":"7","properties":{"type":{"value":"x","source":"none"}}},`, ``), `observed.datasets[0] "tank/a b" has no parent that is listed`},
		{"no time", replace(`"2026-03-14T08:26:53Z"`, `"0001-01-01T00:00:00Z"`), "taken is no time"},
		{"a wrong time", replace(`"2026-03-14T08:26:53Z"`, `"yesterday"`), `capture is not understood: parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"`},
		{"an unknown source", replace(`"source":"received"`, `"source":"sent"`), `observed.datasets[1] "tank/a b" has "u:x" from an unknown source "sent"`},
		{"inherited from nobody", replace(`,"from":"tank"`, ``), `observed.datasets[1] "tank/a b" has "atime" inherited from nobody, or not inherited from somebody`},
		{"a wrong type", replace(`"volume"`, `"disk"`), `capture is not understood: type "disk" of a dataset is none`},
		{"a wrong name", replace(`"tank/a b"`, `"tank//a"`), `capture is not understood: dataset name "tank//a" has an empty part`},
		{"a wrong guid", replace(`"guid":"8"`, `"guid":"-8"`), `observed.datasets[1] "tank/a b" has a guid "-8" that is no number`},
		{"a dataset of a pool that was not read", replace(`,"unread":"the pool is SUSPENDED"`, ``), `observed.datasets have none of pool "cold"`},
		{"a snapshot of none", replace(`"dataset":"tank/a b"`, `"dataset":"tank/c"`), `observed.snapshots[0] is of "tank/c", which is not listed`},
		{"a wrong mode", replace(`"0755"`, `"755"`), `observed.places[1] "/srv" has the mode "755", which is not four octal digits`},
		{"a wrong kind", replace(`"kind":"absent"`, `"kind":"gone"`), `observed.places[0] "/a" is of an unknown kind "gone"`},
		{"a directory of which nothing is said", replace(`"content":"unknown",`, ``), `observed.places[1] "/srv" does not say what it holds, or why that is unknown`},
		{"wrong order", replace(`"/a"`, `"/z"`), `observed.places[1] "/srv" is out of order`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadPool(strings.NewReader(tt.text))
			var bad *PoolFileError
			require.ErrorAs(t, err, &bad)
			require.EqualError(t, err, tt.want)
			require.NotEmpty(t, bad.Hint())
		})
	}
	_, err := ReadPool(failing{})
	require.ErrorIs(t, err, errFailing)
}

var errFailing = errors.New("no disk")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errFailing }

func FuzzReadPool(f *testing.F) {
	var b bytes.Buffer
	require.NoError(f, poolFile(f).Write(&b))
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ReadPool(bytes.NewReader(data))
		if err != nil {
			return
		}
		var b bytes.Buffer
		require.NoError(t, got.Write(&b))
		again, err := ReadPool(&b)
		require.NoError(t, err)
		// Credentials are taken out, and the time is cut to seconds.
		got.Taken, again.Taken = time.Time{}, time.Time{}
		for _, f := range []*PoolFile{got, again} {
			for i := range f.Observed.Datasets {
				delete(f.Observed.Datasets[i].Properties, "keylocation")
			}
		}
		require.Empty(t, cmp.Diff(got, again, sameNames, cmpopts.EquateEmpty()))
	})
}

// What an older stateward wrote has names without numbers, and is as good as it was.
func TestReadPoolTakesTheFirstVersion(t *testing.T) {
	var b bytes.Buffer
	f := poolFile(t)
	f.Observed.UserIDs, f.Observed.Module = nil, ""
	require.NoError(t, f.Write(&b))
	got, err := ReadPool(strings.NewReader(strings.Replace(b.String(), `"version": 2`, `"version": 1`, 1)))
	require.NoError(t, err)
	require.Equal(t, 1, got.Version)
	require.Equal(t, []string{"root", "svc"}, got.Observed.Users)
	require.Empty(t, got.Observed.UserIDs)
}

// R21: the order of paths is that of what is written, which need not be that of the bytes.
func TestPlacesOfBytesThatAreNoTextAreWritten(t *testing.T) {
	f := poolFile(t)
	f.Observed.Places = nil
	for _, p := range []string{"/srv/\xe9t\xe9", "/srv/\ud55c", "/srv/\uFFFDe9t\uFFFDe9"} {
		f.Observed.Places = append(f.Observed.Places, dataset.Place{Path: p, Kind: "absent"})
	}
	inText(f.Observed)
	var b bytes.Buffer
	require.NoError(t, f.Write(&b))
	got, err := ReadPool(&b)
	require.NoError(t, err)
	require.Len(t, got.Observed.Places, 2)
}

// R27: a pool that --pool leaves out is imported all the same.
func TestPoolsThatAreLeftOutAreNotAbsent(t *testing.T) {
	f := poolFile(t)
	desired := dataset.WithContainers(dataset.Wanted{Name: name("vault/a")}, dataset.Wanted{Name: name("gone/a")})
	var got []string
	for _, c := range dataset.NewPlan(desired, f.Observed, dataset.Options{}).Conflicts {
		got = append(got, string(c.Kind)+": "+c.Message)
	}
	require.Equal(t, []string{"pool is not imported: pool gone is not imported", "was not observed: pool vault was left out when the pools were captured"}, got)
	f.Observed.LeftOut = []string{"tank"}
	require.ErrorContains(t, f.Write(&bytes.Buffer{}), "observed.leftOut[0]")
}
