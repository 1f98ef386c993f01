//go:build e2e

package script_test

import (
	"testing"

	"github.com/stateward/stateward/dataset"
)

func TestVolumes(t *testing.T) {
	volume := func(name string, settings ...string) dataset.Wanted {
		w := dataset.Wanted{Name: dataset.MustName(name), Role: dataset.Utility, Type: dataset.Volume}
		for i := 0; i < len(settings); i += 2 {
			s, err := dataset.ParseSetting(settings[i], settings[i+1], dataset.Volume)
			if err != nil {
				t.Fatal(err)
			}
			w.Settings = append(w.Settings, s)
		}
		return w
	}
	list := []dataset.Wanted{volume("tank/vm/thick", "volsize", "10000000"), volume("tank/vm/sparse", "refreservation", "none", "volblocksize", "64K", "volsize", "4G"),
		volume("tank/vm/auto", "compression", "lz4", "refreservation", "auto", "volsize", "8M")}
	if out := apply(t, list...); out == "" {
		t.Error("it made nothing")
	}
	if out := apply(t, list...); out != "" {
		t.Errorf("a second run did something:\n%s", out)
	}
	list[0] = volume("tank/vm/thick", "volsize", "20000001")
	apply(t, list...)
	if out := apply(t, list...); out != "" {
		t.Errorf("a second run did something:\n%s", out)
	}
	refused(t, []dataset.Wanted{volume("tank/vm/thick", "volsize", "1M")}, "tank/vm/thick: is a volume of 20004864 bytes and is to have 1048576: what lies beyond would be lost")
	refused(t, []dataset.Wanted{volume("tank/vm/sparse", "volblocksize", "16K", "volsize", "4G")}, "volblocksize is 65536 and cannot become 16K")
	refused(t, []dataset.Wanted{{Name: dataset.MustName("tank/vm/thick"), Role: dataset.Utility}}, "is a volume, and a file system is wanted")
}
