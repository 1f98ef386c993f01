package aggregate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// utility is a dataset that the configuration declares and makes; change may be nil.
func utility(name, mountPoint string, change func(*stateward.Dataset)) part {
	return func(h *stateward.Host) {
		d := stateward.Dataset{Name: name, Origin: at("modules", "storage", "datasets", "utility", name), Properties: map[string]stateward.Value[string]{}}
		if mountPoint != "" {
			d.MountPoint = known(mountPoint)
		}
		if change != nil {
			change(&d)
		}
		push(&h.Datasets, d)
	}
}

// property gives a dataset a property.
func property(name, value string) func(*stateward.Dataset) {
	return func(d *stateward.Dataset) {
		d.Properties[name] = stateward.Known(value, stateward.Origin{Option: d.Origin.Option + "." + name})
	}
}

// misunderstood is a value that no check can use, as the bridge reports it.
func misunderstood[T any](subject, message string) stateward.Value[T] {
	return stateward.NotKnown[T](stateward.Unknown{Subject: subject, Kind: stateward.UnknownForm, Message: message})
}

func TestDatasetChecks(t *testing.T) {
	const at = "modules.storage.datasets.utility."
	for _, tc := range []struct {
		name  string
		code  string
		parts []part
		want  []string // nothing: the check is quiet
	}{
		{"D5 recordsize", "SW201", []part{utility("tank/a", "/a", property("recordsize", "20K"))},
			[]string{`error ` + at + `"tank/a".recordsize [] dataset tank/a: value "20K" of property "recordsize" is no power of two`}},
		{"D5 recordsizes that ZFS takes", "SW201", []part{utility("tank/a", "/a", property("recordsize", "512")), utility("tank/b", "/b", property("recordsize", "16M")),
			utility("tank/c", "/c", property("compression", "zstd-fast-10"))}, nil},
		{"D5 a property that nobody knows", "SW201", []part{utility("tank/a", "/a", property("recordsze", "16K"))},
			[]string{`error ` + at + `"tank/a".recordsze [] dataset tank/a: property "recordsze" is none that zfs knows`}},
		{"D5 a property that nobody can set", "SW201", []part{utility("tank/a", "/a", property("used", "1G"))},
			[]string{`error ` + at + `"tank/a".used [] dataset tank/a: property "used" is read-only`}},
		{"D5 a name with a blank", "SW201", []part{utility("tank/a b", "/a", nil)},
			[]string{`error ` + at + `"tank/a b" [] dataset name "tank/a b" contains a blank, which ZFS allows, but scripts, units and sanoid do not`}},
		{"D5 a name with a semicolon", "SW201", []part{utility("tank/a;b", "/a", nil)},
			[]string{`error ` + at + `"tank/a;b" [] dataset name "tank/a;b" contains ";"`}},
		{"D5 a mode", "SW201", []part{utility("tank/a", "/a", func(d *stateward.Dataset) {
			d.Mode = misunderstood[stateward.Mode](d.Origin.Option+".mode", `mode "999" is not octal`)
		})}, []string{`error ` + at + `"tank/a".mode [] dataset tank/a: mode "999" is not octal`}},
		{"D5 what could not be evaluated is another check's", "SW201", []part{utility("tank/a", "/a", func(d *stateward.Dataset) { d.Mode = unknown[stateward.Mode]("m") })}, nil},
		{"D3 a key that would have to be typed in", "SW201", []part{utility("tank/a", "/a", func(d *stateward.Dataset) {
			property("encryption", "on")(d)
			property("keyformat", "passphrase")(d)
		})}, []string{`error ` + at + `"tank/a" [] dataset tank/a: a key would have to be typed in when the dataset is made`}},
		{"what another makes is theirs", "SW201", []part{dataset("tank/a b", "/a")}, nil},

		{"declared twice", "SW202", []part{utility("tank/a", "/a", property("recordsize", "16K")), changed(contract("a", "/a"), func(*stateward.Service) {}), func(h *stateward.Host) {
			push(&h.Datasets, stateward.Dataset{Name: "tank/a", MountPoint: known("/a"), Properties: map[string]stateward.Value[string]{"recordsize": known("8K")}, Origin: stateward.Origin{Option: "stateward.services.a.dataset"}})
		}}, []string{`error stateward.services.a.dataset [] dataset tank/a is declared twice, with recordsize 16K and with 8K: the other is ` + at + `"tank/a"`}},
		{"declared twice in the same way", "SW202", []part{utility("tank/a", "/a", property("recordsize", "16K")), utility("tank/a", "/a/", property("recordsize", "16384"))}, nil},

		{"D10 names", "SW203", []part{utility("tank/a-b", "/a", nil), utility("tank/a/b", "/b", nil)}, []string{
			`warning ` + at + `"tank/a-b" [] dataset tank/a-b has the same name as tank/a/b once "/" becomes "-", as in the names of units and locks`,
			`warning ` + at + `"tank/a/b" [] dataset tank/a/b has the same name as tank/a-b once "/" becomes "-", as in the names of units and locks`}},
		{"D10 what another makes needs no unit of ours", "SW203", []part{dataset("tank/a-b", "/a"), utility("tank/a/b", "/b", nil)}, nil},

		{"D8 disko makes it too", "SW204", []part{func(h *stateward.Host) {
			push(&h.Datasets, stateward.Dataset{Name: "tank/a", MountPoint: known("/a"), Origin: stateward.Origin{Option: "disko.devices.zpool.tank.datasets.a"}})
		}, utility("tank/a", "/a", nil)},
			[]string{`warning ` + at + `"tank/a" [] dataset tank/a is declared here, and is made or mounted by disko.devices.zpool.tank.datasets.a as well: they race`}},
		{"D8 fileSystems mounts it too", "SW204", []part{fileSystem("/a", "tank/a", "zfs", "zfsutil"), utility("tank/a", "/a", nil)},
			[]string{`warning ` + at + `"tank/a" [] dataset tank/a is declared here, and is made or mounted by fileSystems."/a" as well: they race`}},
		{"D8 fileSystems mounts what mounts itself", "SW204", []part{fileSystem("/a", "tank/a", "zfs"), utility("tank/a", "/a", nil)},
			[]string{`error ` + at + `"tank/a" [] dataset tank/a is given a mountpoint of its own, and fileSystems."/a" mounts it without zfsutil: mount refuses that at the next boot`}},
		{"D8 one makes it and the other mounts it", "SW204", []part{fileSystem("/a", "tank/a", "zfs"), utility("tank/a", "legacy", nil)}, nil},
		{"D8 a child of another's", "SW204", []part{func(h *stateward.Host) {
			push(&h.Datasets, stateward.Dataset{Name: "tank/a", MountPoint: known("none"), Origin: stateward.Origin{Option: "disko.devices.zpool.tank.datasets.a"}})
		}, utility("tank/a/b", "/b", nil)}, nil},
		{"P5 a place is shared: another check says so", "SW204", []part{fileSystem("/a", "/dev/b", "ext4"), utility("tank/a", "/a", nil)}, nil},
		{"P5 a place is shared", "SW107", []part{fileSystem("/a", "/dev/b", "ext4"), utility("tank/a", "/a", nil)},
			[]string{`error ` + at + `"tank/a" [/a] fileSystems."/a" (ext4 on /dev/b) and dataset tank/a are both mounted at /a: the one mounted last at the next boot hides the other`}},
	} {
		t.Run(tc.code+" "+tc.name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(tc.want, findings(with(kept, tc.parts...), tc.code)))
		})
	}
}

// D5: what SW201 refuses is not unknown as well.
func TestWhatIsRefusedIsNotUnknown(t *testing.T) {
	why := stateward.Unknown{Subject: `modules.storage.datasets.utility."tank/a".mode`, Kind: stateward.UnknownForm, Message: `mode "999" is not octal`}
	h := with(kept, utility("tank/a", "/a", func(d *stateward.Dataset) { d.Mode = stateward.NotKnown[stateward.Mode](why) }), unknowns(why))
	var codes []string
	for _, d := range aggregate.Lint(aggregate.Input{Host: h}).Findings {
		codes = append(codes, d.Code)
		require.NotEmpty(t, d.Hint)
	}
	require.Equal(t, []string{"SW201"}, codes)
}
