//go:build unix

package preseed

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/preseed"
)

// What a person put back, or mounted, is in use, whatever it was marked before: no command that destroys it is ever shown.
func TestLeft(t *testing.T) {
	dir := t.TempDir()
	script := `#!/bin/sh
case "$*" in
get*) printf '%s\t%s\n' \
  tank/app 'kept app 1' tank/staging/app-was 'kept app 2' tank/staging/app-was-left-3 'kept app 3' tank/staging/app-was-4 'kept app 4' tank/staging/app-left-5 'staged app 1 restic a 1 b' \
  tank/staging/app 'staged app 1 restic a 1 b' tank/mine/app-was 'kept app 6' tank/other 'restored other 7' tank/staging/other-left-8 'staged other 7 local' tank/app-left-9 odd ;;
list*) printf '%s\t%s\t%s\t%s\n' \
  tank/staging/app-was 2 20 no tank/staging/app-was-left-3 3 30 no tank/staging/app-was-left-3@a 30 1 - tank/staging/app-was-left-3@b 31 1 - tank/staging/app-was-4 4 40 no \
  tank/staging/app-left-5 5 50 no tank/mine/app-was 6 60 yes tank/staging/other-left-8 8 80 no ;;
esac
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "zfs"), []byte(script), 0o755))
	left, err := ReadLeft(t.Context(), []string{"PATH=" + dir + ":" + os.Getenv("PATH")})
	require.NoError(t, err)
	list := []Status{
		{Plan: "app", Newest: &Record{Dataset: "tank/app"}, Restored: &Record{Kept: "tank/staging/app-was"}},
		{Plan: "other", Unfinished: &preseed.Journal{Staged: "tank/staging/other-left-8"}},
	}
	Leave(list, left)
	var got []string
	for _, s := range list {
		for _, l := range s.Left {
			got = append(got, l.Remove()...)
		}
	}
	want := []string{"zfs destroy tank/staging/app-left-5", "zfs destroy tank/staging/app-was-4", "zfs destroy tank/staging/app-was-left-3@%", "zfs destroy tank/staging/app-was-left-3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	require.Equal(t, Left{Plan: "app", Dataset: "tank/staging/app-left-5", GUID: "5", Restored: true, Bytes: 50}, list[0].Left[0])
}
