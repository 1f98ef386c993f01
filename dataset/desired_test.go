package dataset_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

func known[T any](v T) stateward.Value[T] { return stateward.Known(v, stateward.Origin{}) }

// declare makes a declaration; settings are pairs of property and value.
func declare(name, mountpoint string, settings ...string) stateward.Dataset {
	d := stateward.Dataset{Name: name, Origin: stateward.Origin{Option: "at." + name}, Properties: map[string]stateward.Value[string]{}}
	if mountpoint != "" {
		d.MountPoint = known(mountpoint)
	}
	for i := 0; i+1 < len(settings); i += 2 {
		d.Properties[settings[i]] = known(settings[i+1])
	}
	return d
}

func disko(d stateward.Dataset) stateward.Dataset {
	d.Origin.Option = "disko.devices.zpool.tank.datasets." + d.Name
	return d
}

func mountOf(at, device, fsType string) stateward.FileSystem {
	o := stateward.Origin{Option: stateward.OptionPath("fileSystems", at)}
	return stateward.FileSystem{MountPoint: stateward.NewEntry(at, stateward.Directory, o), Device: known(device), FSType: known(fsType), Origin: o}
}

func TestDesired(t *testing.T) {
	unknown := stateward.NotKnown[string](stateward.Unknown{Subject: "x.recordsize", Kind: stateward.UnknownThrow, Message: "no"})
	tests := []struct {
		name     string
		datasets []stateward.Dataset
		mounts   []stateward.FileSystem
		want     []string
		faults   []string
	}{
		{"a dataset and the container above", []stateward.Dataset{declare("tank/services/a", "/var/lib//a/", "recordsize", "16384", "compression", "zstd")}, nil,
			[]string{"container tank/services canmount=off,mountpoint=none implicit", "utility tank/services/a compression=zstd,mountpoint=/var/lib/a,recordsize=16K"}, nil},
		{"a declared container", []stateward.Dataset{declare("tank/a", "none", "canmount", "off")}, nil, []string{"container tank/a canmount=off,mountpoint=none"}, nil},
		{"D5 what ZFS refuses, and what lies in it", []stateward.Dataset{declare("tank/a", "", "recordsize", "100K"), declare("tank/a/b", ""), declare("tank/a b", ""), declare("tank/c", "var/lib")}, nil, nil,
			[]string{`tank/a: property is refused: value "100K" of property "recordsize" is no power of two`, `tank/a b: name is refused: dataset name "tank/a b" contains a blank, which ZFS allows, but scripts, units and sanoid do not`,
				"tank/a/b: hangs on another fault: lies in tank/a, which cannot be planned", `tank/c: property is refused: value "var/lib" of property "mountpoint" is no absolute path`}},
		{"what is unknown is not guessed", []stateward.Dataset{{Name: "tank/a", Properties: map[string]stateward.Value[string]{"recordsize": unknown}}, declare("tank/b", "")}, nil,
			[]string{"utility tank/b "}, []string{"tank/a: could not be evaluated: no"}},
		{"declared twice alike, and completing one another", []stateward.Dataset{declare("tank/a", "/a", "recordsize", "1M"), declare("tank/a", "/a/", "recordsize", "1024K", "atime", "off")}, nil,
			[]string{"utility tank/a atime=off,mountpoint=/a,recordsize=1M"}, nil},
		{"declared twice, and not alike", []stateward.Dataset{declare("tank/a", "/a", "recordsize", "1M"), declare("tank/a", "/b", "recordsize", "1M")}, nil, nil,
			[]string{"tank/a: declarations contradict: is declared twice, with mountpoint /a and with /b"}},
		{"D10 names that collide", []stateward.Dataset{declare("tank/a-b", ""), declare("tank/a/b", ""), declare("tank/a", "")}, nil, []string{"utility tank/a "},
			[]string{`tank/a-b: names collide: has the same name as tank/a/b once "/" becomes "-", as in the names of units and locks`, `tank/a/b: names collide: has the same name as tank/a-b once "/" becomes "-", as in the names of units and locks`}},
		{"P5 one mountpoint for two", []stateward.Dataset{declare("tank/a", "/srv/x"), declare("tank/b", "/srv"), declare("tank/b/x", "")}, nil, []string{"utility tank/b mountpoint=/srv"},
			[]string{"tank/a: mountpoint is shared: is mounted at /srv/x, and so is dataset tank/b/x", "tank/b/x: mountpoint is shared: is mounted at /srv/x, and so is dataset tank/a"}},
		{"P4 and for a file system", []stateward.Dataset{declare("tank/a", "/srv")}, []stateward.FileSystem{mountOf("/srv", "/persist/srv", "none")}, nil,
			[]string{"tank/a: mountpoint is shared: is mounted at /srv, and so is fileSystems.\"/srv\""}},
		{"one of the two is not mounted by itself", []stateward.Dataset{declare("tank/a", "/srv"), declare("tank/b", "/srv", "canmount", "noauto")}, nil,
			[]string{"utility tank/a mountpoint=/srv", "utility tank/b canmount=noauto,mountpoint=/srv"}, nil},
		{"parents theirs, children ours", []stateward.Dataset{disko(declare("tank", "none")), disko(declare("tank/safe", "")), declare("tank/safe/persist/a/b", "/b")}, []stateward.FileSystem{mountOf("/persist", "tank/safe/persist", "zfs")},
			[]string{"foreign tank mountpoint=none", "foreign tank/safe ", "foreign tank/safe/persist ", "container tank/safe/persist/a canmount=off,mountpoint=none implicit", "utility tank/safe/persist/a/b mountpoint=/b"}, nil},
		{"D8 a dataset of disko's", []stateward.Dataset{disko(declare("tank/a", "/a")), declare("tank/a", "/a"), declare("tank/a/b", "/b")}, nil, nil,
			[]string{"tank/a: dataset has two managers: is declared here, and is made or mounted by disko.devices.zpool.tank.datasets.tank/a as well: they race", "tank/a/b: hangs on another fault: lies in tank/a, which cannot be planned"}},
		{"D8 a dataset that fileSystems mounts", []stateward.Dataset{declare("tank/a", "/a"), declare("tank/b", "legacy", "atime", "off")}, []stateward.FileSystem{mountOf("/a", "tank/a", "zfs"), mountOf("/b", "tank/b", "zfs")},
			[]string{"utility tank/b atime=off,mountpoint=legacy"}, []string{`tank/a: dataset has two managers: is declared here, and is made or mounted by fileSystems."/a" as well: they race`}},
		{"D8 one that two of fileSystems mount, in whatever order", []stateward.Dataset{declare("tank/a", "/a")}, []stateward.FileSystem{mountOf("/y", "tank/a", "zfs"), mountOf("/x", "tank/a", "zfs")},
			nil, []string{`tank/a: dataset has two managers: is declared here, and is made or mounted by fileSystems."/x" as well: they race`}},
		{"a dataset that is only named, and that fileSystems mounts", []stateward.Dataset{declare("tank/persist", ""), declare("tank/persist/a", "none")}, []stateward.FileSystem{mountOf("/persist", "tank/persist", "zfs")},
			[]string{"foreign tank/persist ", "utility tank/persist/a mountpoint=none"}, nil},
		{"what a secret was taken out of", []stateward.Dataset{declare("tank/a", "", "keylocation", "https://root:xxxxx@keys.example/a"), declare("tank/b", "", "org.example:note", "token=xxxxx"), declare("tank/c", "", "org.example:note", "xxxxx")}, nil,
			[]string{"utility tank/c org.example:note=xxxxx"}, []string{"tank/a: could not be evaluated: property keylocation holds a secret, which was taken out when the configuration was read",
				"tank/b: could not be evaluated: property org.example:note holds a secret, which was taken out when the configuration was read"}},
		{"what only a volume has", []stateward.Dataset{declare("tank/a", "", "refreservation", "auto"), declare("tank/b", "", "volsize", "1G")}, nil, nil, []string{
			`tank/a: property is refused: value "auto" of property "refreservation" is for volumes only`, `tank/b: property is refused: property "volsize" is none that a filesystem has`}},
		{"settings that contradict one another", []stateward.Dataset{declare("tank/a", "", "normalization", "formD", "utf8only", "off"), declare("tank/b", "", "keyformat", "passphrase", "encryption", "on")}, nil, nil,
			[]string{"tank/a: property is refused: utf8only=off contradicts normalization=formD, which turns it on", "tank/b: property is refused: a key would have to be typed in when the dataset is made"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &stateward.Host{Datasets: known(tt.datasets), FileSystems: known(tt.mounts)}
			desired, faults := dataset.NewDesired(h)
			var got, gotFaults []string
			for _, w := range desired.Datasets {
				s := fmt.Sprintf("%s %s %s", w.Role, w.Name, joined(w.Settings))
				if w.Implicit {
					s += " implicit"
				}
				got = append(got, s)
			}
			for _, f := range faults {
				gotFaults = append(gotFaults, fmt.Sprintf("%s: %s: %s", f.Dataset, f.Kind, f.Message))
			}
			if tt.want == nil {
				got = only(got, "utility")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("desired (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.faults, gotFaults); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			b, err := json.Marshal(desired)
			if err != nil {
				t.Fatal(err)
			}
			var read dataset.Desired
			if err := json.Unmarshal(b, &read); err != nil {
				t.Fatal(err)
			}
			if b2, _ := json.Marshal(read); string(b) != string(b2) {
				t.Errorf("JSON: %s, read and written: %s", b, b2)
			}
		})
	}
}

// only keeps what begins with a word.
func only(list []string, word string) []string {
	var out []string
	for _, s := range list {
		if len(s) >= len(word) && s[:len(word)] == word {
			out = append(out, s)
		}
	}
	return out
}

func TestDesiredOfServices(t *testing.T) {
	ds := declare("tank/services/a", "/var/lib/a")
	ds.Owner, ds.Mode = known(stateward.MustOwner("a")), stateward.Value[stateward.Mode]{}
	h := &stateward.Host{Datasets: known([]stateward.Dataset{ds}), Services: known([]stateward.Service{{Name: "a", Enable: known(true), Dataset: &ds}})}
	desired, faults := dataset.NewDesired(h)
	if len(faults) > 0 || len(desired.Datasets) != 2 {
		t.Fatal(desired, faults)
	}
	if w := desired.Datasets[1]; w.Role != dataset.Service || !cmp.Equal(w.Services, []string{"a"}) || w.Owner.String() != "a" {
		t.Errorf("got %+v", w)
	}
}

func TestDesiredOfAHostThatIsUnknown(t *testing.T) {
	why := stateward.Unknown{Subject: "disko", Kind: stateward.UnknownAbort, Message: "attribute missing"}
	unknownMounts := &stateward.Host{Datasets: known([]stateward.Dataset{declare("tank/a", "")}), Mounts: stateward.NotKnown[[]stateward.FileSystem](why)}
	if desired, faults := dataset.NewDesired(unknownMounts); len(desired.Datasets) != 1 || len(faults) != 1 || faults[0].Kind != dataset.NotEvaluated || faults[0].Dataset != "" {
		t.Errorf("mounts: %v %v", desired, faults)
	}
	for name, h := range map[string]*stateward.Host{
		"datasets":    {Datasets: stateward.NotKnown[[]stateward.Dataset](why)},
		"fileSystems": {Datasets: known([]stateward.Dataset{declare("tank/a", "")}), FileSystems: stateward.NotKnown[[]stateward.FileSystem](why)},
	} {
		if desired, faults := dataset.NewDesired(h); len(desired.Datasets) != 0 || len(faults) != 1 || faults[0].Kind != dataset.NotEvaluated {
			t.Errorf("%s: %v %v", name, desired, faults)
		}
	}
}
