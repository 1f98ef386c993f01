package dataset_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/zfssim"
)

// Several names may have one number: what they own is compared by that, where it is known.
func TestOwnersAreComparedByNumber(t *testing.T) {
	for _, tt := range []struct {
		name, owner string
		ids         map[string]uint32
		want        []string
	}{
		{"the other name of one number", "second", map[string]uint32{"first": 568, "second": 568}, nil},
		{"its number", "568", nil, nil},
		{"another number", "569", nil, []string{"own /srv/a 569: "}},
		{"one name that has another number by now", "first", map[string]uint32{"first": 700}, []string{"own /srv/a first: "}},
		{"names without numbers, as an older capture has them", "second", nil, []string{"own /srv/a second: "}},
		{"one name without a number", "first", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := machine{zfssim.New("tank"), t}
			m.create("tank/a", "mountpoint=/srv/a")
			m.mount("tank/a")
			desired := dataset.WithContainers(want(t, "tank/a", "mountpoint=/srv/a", "owner="+tt.owner))
			seen := observe(m.Machine, desired)
			for i := range seen.Places {
				if seen.Places[i].Path == "/srv/a" {
					seen.Places[i].UID, seen.Places[i].User = 568, "first"
				}
			}
			seen.Users, seen.UserIDs = []string{"first", "second"}, tt.ids
			got := text(dataset.NewPlan(desired, seen, dataset.Options{}))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if n := len(dataset.NewDrift(desired, seen, dataset.Options{}).Differences); n != len(tt.want) {
				t.Errorf("%d differences", n)
			}
		})
	}
}

// changed is a pool with tank/a, and what is planned once something of it is other than it was.
func changed(t *testing.T, settings []string, change func(o *dataset.Observed, a map[string]dataset.PropertyState)) (plan, drift []string) {
	t.Helper()
	m := machine{zfssim.New("tank"), t}
	m.create("tank/a", "mountpoint=none")
	desired := dataset.WithContainers(want(t, "tank/a", settings...))
	seen := observe(m.Machine, desired)
	a, _ := seen.Dataset(dataset.MustName("tank/a"))
	change(seen, a.Properties)
	return text(dataset.NewPlan(desired, seen, dataset.Options{})), differences(dataset.NewDrift(desired, seen, dataset.Options{}))
}

func TestUnknownValues(t *testing.T) {
	state := func(value string) dataset.PropertyState {
		return dataset.PropertyState{Value: value, Source: dataset.Local}
	}
	for _, tt := range []struct {
		name        string
		settings    []string
		change      func(o *dataset.Observed, a map[string]dataset.PropertyState)
		plan, drift []string
	}{
		{"a keylocation of which something was taken out is not known", []string{"keylocation=https://keys.example/a"},
			func(_ *dataset.Observed, a map[string]dataset.PropertyState) {
				a["keylocation"], a["encryptionroot"] = state("https://REDACTED@keys.example/a"), state("tank/a")
			},
			[]string{"conflict tank/a: was not observed: keylocation is not known: what may be secret in it was taken out of the capture [tank/a]"},
			[]string{"tank/a keylocation: https://keys.example/a, is unknown: keylocation is not known: what may be secret in it was taken out of the capture (), kept: keylocation is not known: what may be secret in it was taken out of the capture"}},
		{"the quota of a user that is as declared", []string{"userquota@568=1G", "groupquota@media=none"},
			func(_ *dataset.Observed, a map[string]dataset.PropertyState) {
				a["userquota@568"], a["groupquota@media"] = state("1073741824"), state("0")
			}, nil, nil},
		{"one that differs", []string{"userquota@568=1G", "projectobjquota@4=7"},
			func(_ *dataset.Observed, a map[string]dataset.PropertyState) {
				a["userquota@568"], a["projectobjquota@4"] = state("0"), state("8")
			},
			[]string{"set tank/a projectobjquota@4=7", "set tank/a userquota@568=1G"},
			[]string{"tank/a projectobjquota@4: 7, is 8 (local), applies", "tank/a userquota@568: 1073741824, is 0 (local), applies"}},
		{"one that was not asked for", []string{"userquota@568=1G"}, func(*dataset.Observed, map[string]dataset.PropertyState) {},
			[]string{"conflict tank/a: was not observed: property userquota@568 was not observed: zfs tells of it only where it is asked for by name [tank/a]"},
			[]string{"tank/a userquota@568: 1073741824, is unknown: property userquota@568 was not observed: zfs tells of it only where it is asked for by name (), " +
				"kept: property userquota@568 was not observed: zfs tells of it only where it is asked for by name"}},
		{"one of nobody", []string{"userquota@ada=1G"}, func(o *dataset.Observed, a map[string]dataset.PropertyState) {
			o.Users, a["userquota@ada"] = []string{"root"}, dataset.PropertyState{Value: "-", Source: dataset.None}
		}, []string{"conflict tank/a: owner is unknown: is to have userquota@ada=1G, and the machine knows no user ada [tank/a]"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan, drift := changed(t, tt.settings, tt.change)
			if diff := cmp.Diff(tt.plan, plan); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.drift, drift); diff != "" && tt.drift != nil {
				t.Errorf("drift (-want +got):\n%s", diff)
			}
		})
	}
}

// A quota for somebody whom the machine does not know, on a dataset that is not there yet.
func TestQuotaOfNobody(t *testing.T) {
	m := zfssim.New("tank")
	desired := dataset.WithContainers(want(t, "tank/a", "mountpoint=none", "groupquota@media=1G"))
	seen := observe(m, desired)
	seen.Groups = []string{"root"}
	if diff := cmp.Diff([]string{"conflict tank/a: owner is unknown: is to have groupquota@media=1G, and the machine knows no group media [tank/a]"}, text(dataset.NewPlan(desired, seen, dataset.Options{}))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What zfs of another version cannot do is a conflict that names the version, and what it prints otherwise is understood.
func TestOlderZFS(t *testing.T) {
	for _, tt := range []struct {
		name, version string
		settings      []string
		change        func(a map[string]dataset.PropertyState)
		want          []string
	}{
		{"2.1 cannot set a mountpoint without mounting", "2.1.15", []string{"mountpoint=/srv/a"}, nil,
			[]string{"conflict tank/a: zfs is too old: mountpoint=/srv/a would mount or move what is there: zfs 2.1.15 cannot set it without (zfs set -u came with 2.2) [tank/a]"}},
		{"2.1 can set what mounts nothing", "2.1.15", []string{"mountpoint=none", "atime=off"}, nil, []string{"set tank/a atime=off"}},
		{"2.2 can", "2.2.0", []string{"mountpoint=legacy"}, nil, []string{"set tank/a mountpoint=legacy"}},
		{"a version that is not known is taken as new", "", []string{"mountpoint=legacy"}, nil, []string{"set tank/a mountpoint=legacy"}},
		{"xattr=on was the slow way", "2.2.4", []string{"mountpoint=none", "xattr=sa"}, func(a map[string]dataset.PropertyState) {
			a["xattr"] = dataset.PropertyState{Value: "on", Source: dataset.Default}
		}, []string{"set tank/a xattr=sa"}},
		{"xattr=sa was called so", "2.2.4", []string{"mountpoint=none", "xattr=sa"}, func(a map[string]dataset.PropertyState) {
			a["xattr"] = dataset.PropertyState{Value: "sa", Source: dataset.Local}
		}, nil},
		{"a property that it does not know", "2.2.4", []string{"mountpoint=none", "longname=on"}, func(a map[string]dataset.PropertyState) { delete(a, "longname") },
			[]string{"conflict tank/a: zfs is too old: property longname was not observed, and zfs 2.2.4 may not know it [tank/a]"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := changed(t, tt.settings, func(o *dataset.Observed, a map[string]dataset.PropertyState) {
				o.ZFS = tt.version
				if tt.change != nil {
					tt.change(a)
				}
			})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	desired := dataset.WithContainers(want(t, "tank/b", "mountpoint=none", "longname=on"))
	seen := observe(zfssim.New("tank"), desired)
	seen.ZFS = "2.2.4"
	delete(seen.Datasets[0].Properties, "longname")
	if diff := cmp.Diff([]string{"conflict tank/b: zfs is too old: is to have longname=on, which zfs 2.2.4 does not know: tank has none [tank/b]"}, text(dataset.NewPlan(desired, seen, dataset.Options{}))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The script asks for the version only where it is about to set what would mount something.
func TestScriptOnOlderZFS(t *testing.T) {
	for version, fails := range map[string]bool{"zfs-2.1.15-1\nzfs-kmod-2.1.15-1": true, "zfs-2.2.0": false, "zfs-2.3.9-0+deb13u1": false, "zfs-3.0.0-rc1": false, "zfs-0.8.6": true, "what": false} {
		m := newFakeZFS(t, t.TempDir())
		m.version(t, version)
		_, out, _ := m.run(t, script(t, want(t, "tank/a", "mountpoint=legacy")), "tank\ntank/a\n",
			"tank/a\ttype\tfilesystem\t-\ntank/a\tmountpoint\tnone\tlocal\ntank/a\tcanmount\ton\tdefault\ntank/a\tzoned\toff\tdefault\n")
		says := "tank/a: mountpoint would mount or move what is there: zfs " + strings.TrimPrefix(strings.SplitN(version, "\n", 2)[0], "zfs-") + " cannot set it without (zfs set -u came with 2.2)"
		if strings.Contains(out, says) != fails {
			t.Errorf("%q:\n%s", version, out)
		}
	}
}

// Where a key's place was taken out as a secret, nobody is told that it would have to be typed in.
func TestSecretKeylocationIsSaidOnce(t *testing.T) {
	ds := declare("tank/a", "", "keylocation", "https://root:xxxxx@keys.example/a", "encryption", "on", "keyformat", "passphrase")
	_, faults := dataset.NewDesired(&stateward.Host{Datasets: known([]stateward.Dataset{ds})})
	if len(faults) != 1 || !strings.Contains(faults[0].Message, "was taken out") {
		t.Errorf("%+v", faults)
	}
}
