package dataset_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

func TestLayout(t *testing.T) {
	below := dataset.Layout{Parent: dataset.MustName("tank/services"), ParentMount: stateward.MustPath("/srv")}
	tests := []struct {
		name   string
		layout dataset.Layout
		of, at string
		want   string
	}{
		{"one disk", dataset.DefaultLayout(false), "sonarr", "", "rpool/safe/persist/sonarr mountpoint=/var/lib/sonarr,recordsize=16K <nil>"},
		{"many disks", dataset.DefaultLayout(true), "sonarr", "", "tank/services/sonarr mountpoint=/var/lib/sonarr,recordsize=16K <nil>"},
		{"a place of its own", dataset.DefaultLayout(true), "plex", "/data/plex", "tank/services/plex mountpoint=/data/plex,recordsize=16K <nil>"},
		{"below the directory of all", below, "sonarr", "", "tank/services/sonarr mountpoint=/srv/sonarr,recordsize=16K <nil>"},
		{"not mounted by itself", below, "sonarr", "legacy", "tank/services/sonarr mountpoint=legacy,recordsize=16K <nil>"},
		{"a name that ZFS refuses", below, "a@b", "", `  dataset name "tank/services/a@b" names a snapshot`},
		{"a place that is none", below, "a", "var", `  value "var" of property "mountpoint" is no absolute path`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, err := tt.layout.Service(tt.of, tt.at, setting(t, "recordsize=16K"))
			if diff := cmp.Diff(tt.want, fmt.Sprintf("%s %s %v", w.Name, joined(w.Settings), err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLayoutRefusesWhatContradicts(t *testing.T) {
	if w, err := dataset.At(dataset.MustName("tank/a"), "/a", setting(t, "recordsize=16K"), setting(t, "recordsize=1M")); err == nil {
		t.Error(w)
	}
}
