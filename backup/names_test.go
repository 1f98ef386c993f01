package backup_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup"
)

// What others made is none of sanoid's, whatever it is called, and each dataset is looked at by itself.
func TestS6OnlySanoidsOwnSnapshotsArePruned(t *testing.T) {
	old := noon.AddDate(0, 0, -30)
	var history []backup.Snapshot
	for _, name := range []string{
		"tank@autosnap_a_daily", "tank@sanoid_a_daily", "tank@syncoid_forge_daily", "tank@before-upgrade", "tank@my_autosnap_a_daily", "tank@autosnap_a_other",
		"tank/child@autosnap_a_daily",
	} {
		history = append(history, backup.Snapshot{ID: name, Time: old})
	}
	for _, name := range []string{"tank@autosnap_b_daily", "tank/other@autosnap_b_daily"} {
		history = append(history, backup.Snapshot{ID: name, Time: noon.Add(-time.Hour)})
	}
	d, err := backup.SanoidPolicy{Daily: 1, AutoPrune: true}.Apply(history, noon)
	require.NoError(t, err)
	var gone []string
	for _, s := range d.Remove {
		gone = append(gone, s.ID)
	}
	slices.Sort(gone)
	require.Empty(t, cmp.Diff([]string{"tank@autosnap_a_daily"}, gone))
}
