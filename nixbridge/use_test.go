package nixbridge

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func lay(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, n := range names {
		file := filepath.Join(dir, n)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte("some"), 0o600))
	}
}

func there(dir string, names ...string) (list []string) {
	for _, n := range names {
		if exists(filepath.Join(dir, n)) {
			list = append(list, n)
		}
	}
	return list
}

func TestLeftoversOfKilledRunsAreRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "private")
	left := []string{"evaluations/.new-1", ".new-2", "home/.new-3", "tmp/units-1/nix/store/x/y", "tmp/dialect-1/dialect.nix", "tmp/nix-12-0/x", "tmp/nix.abc"}
	kept := []string{"evaluations/" + strings.Repeat("0", 64), "evaluations/notes.txt", "tmp/others", "store/nix/store/x", "notes/.new-9"}
	require.NoError(t, os.MkdirAll(dir, 0o700))
	lay(t, dir, slices.Concat(left, kept)...)
	require.NoError(t, os.Chmod(filepath.Join(dir, "tmp/units-1/nix/store/x"), 0o500))
	e := &Evaluator{CacheDir: dir}
	_, leave, err := e.folder()
	require.NoError(t, err)
	require.Empty(t, there(dir, left...))
	require.Equal(t, kept, there(dir, kept...))

	// What is used meanwhile stays.
	lay(t, dir, left...)
	_, leave2, err := e.folder()
	require.NoError(t, err)
	require.Equal(t, left, there(dir, left...))
	leave()
	_, leave3, err := e.folder()
	require.NoError(t, err)
	require.Equal(t, left, there(dir, left...))
	leave2()
	leave3()
	_, leave, err = e.folder()
	require.NoError(t, err)
	leave()
	require.Empty(t, there(dir, left...))
}

func TestCopiesAreClearedWhenNobodyUsesThem(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "private")
	c := &Cache{Dir: dir}
	n, err := c.ClearCopies()
	require.NoError(t, err)
	require.Zero(t, n)
	_, leave, err := (&Evaluator{CacheDir: dir}).folder()
	require.NoError(t, err)
	lay(t, dir, "store/nix/store/x-source/secret", "home/.cache/nix/x", "tmp/nix-1-0/y", "home/mine", "tmp/mine")
	require.NoError(t, os.Link(filepath.Join(dir, "home/.cache/nix/x"), filepath.Join(dir, "home/.cache/nix/again")))
	require.NoError(t, os.Chmod(filepath.Join(dir, "store/nix/store/x-source"), 0o500))
	n, err = c.Copies()
	require.NoError(t, err)
	require.EqualValues(t, 8, n)
	_, err = c.ClearCopies()
	require.ErrorIs(t, err, ErrInUse)
	require.FileExists(t, filepath.Join(dir, "store/nix/store/x-source/secret"))
	leave()
	n, err = c.ClearCopies()
	require.NoError(t, err)
	require.EqualValues(t, 8, n)
	require.Equal(t, []string{"home/mine", "tmp/mine"}, there(dir, "store/nix", "home/.cache", "tmp/nix-1-0", "home/mine", "tmp/mine"))

	other := t.TempDir()
	lay(t, other, "store/nix/x", "home/.cache/x", "tmp/nix-1/x")
	n, err = (&Cache{Dir: other}).ClearCopies()
	require.NoError(t, err)
	require.Zero(t, n)
	require.Len(t, there(other, "store/nix/x", "home/.cache/x", "tmp/nix-1/x"), 3, "it was never a private folder")
}

func TestPrivateFolderIsOnesOwn(t *testing.T) {
	for mode, want := range map[os.FileMode]string{0o700: "", 0o755: "", 0o770: "others can write to it", 0o777: "others can write to it", 0o1777: "others can write to it"} {
		dir := filepath.Join(t.TempDir(), "d")
		require.NoError(t, os.Mkdir(dir, 0o700))
		require.NoError(t, os.Chmod(dir, mode))
		_, leave, err := (&Evaluator{CacheDir: dir}).folder()
		if want == "" {
			require.NoError(t, err)
			leave()
			continue
		}
		var ce *CacheError
		require.ErrorAs(t, err, &ce)
		require.ErrorContains(t, err, want)
		require.Contains(t, ce.Hint(), "chmod go-w")
		require.Empty(t, there(dir, "home", "tmp", "store"))
	}
	if os.Geteuid() != 0 {
		return // nobody else can give a folder away
	}
	dir := t.TempDir()
	require.NoError(t, os.Chown(dir, 65534, 65534))
	_, _, err := (&Evaluator{CacheDir: dir}).folder()
	require.ErrorContains(t, err, "it belongs to another user")
}

func TestHintsOfPrivateFolders(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, _, err := (&Evaluator{CacheDir: file}).folder()
	var ce *CacheError
	require.ErrorAs(t, err, &ce)
	require.Equal(t, "name a folder with --cache-dir", ce.Hint())
	for err, want := range map[error]string{
		syscall.EROFS:  "name a folder of your own that can be written to with --cache-dir",
		syscall.EACCES: "name a folder of your own that can be written to with --cache-dir",
		syscall.ENOSPC: "make room there, or name a folder of your own with --cache-dir",
	} {
		require.Equal(t, want, (&CacheError{"/x", &os.PathError{Err: err}}).Hint())
	}
}

// Each field of an Evaluator is handed on to that which reads units, or is left out on purpose.
func TestUnitsHaveAllThatIsAsked(t *testing.T) {
	e := &Evaluator{}
	own := []string{"CacheDir", "MachineStore", "NoCache", "NoLocations", "Dialects"}
	v := reflect.ValueOf(e).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if !v.Type().Field(i).IsExported() {
			continue
		}
		switch f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int, reflect.Int64:
			f.SetInt(7)
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.Func:
			e.Progress = func(Event) {}
		default:
			t.Fatalf("%s is of a kind that is not known here", v.Type().Field(i).Name)
		}
	}
	u := reflect.ValueOf(e.forUnits("dir", "store", nil)).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case !f.IsExported() || slices.Contains(own, f.Name):
		case f.Type.Kind() == reflect.Func:
			require.False(t, u.Field(i).IsNil(), f.Name)
		default:
			require.Equal(t, v.Field(i).Interface(), u.Field(i).Interface(), f.Name)
		}
	}
	require.Same(t, e, e.forUnits("dir", "store", nil).top())
}

func TestEvaluationsOfOneEvaluatorShareTheirSlots(t *testing.T) {
	e := &Evaluator{}
	made := 0
	join := func() (*slots, func()) {
		return e.top().shared.join(func() *slots { made++; return newSlots(4*gib, 0, 1, nil) }, map[string]int64{"a": gib})
	}
	a, leaveA := join()
	b, leaveB := join()
	require.Same(t, a, b)
	slot, err := a.acquire(t.Context(), "a")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = b.acquire(ctx, "b")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	slot.release()
	leaveA()
	leaveB()
	_, leave := join()
	leave()
	require.Equal(t, 2, made)

	s := newSlots(4*gib, 0, 4, nil)
	one := s.among(1)
	three := s.among(3)
	require.EqualValues(t, gib, s.share)
	three()
	require.EqualValues(t, 4*gib, s.share)
	one()
}

func TestPeaksOfUnitsAreTheirOwn(t *testing.T) {
	check, units := &session{Evaluator: &Evaluator{}, ref: "r"}, &session{Evaluator: &Evaluator{instantiate: "x"}, ref: "r"}
	require.NotEqual(t, check.peakKey([]string{"a"}), units.peakKey([]string{"a"}))
}

func TestOnlyWholeStoreObjectsAreLinked(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	const hash = "00000000000000000000000000000000"
	whole := []string{hash + "-source/flake.nix", hash + "-flake.lock"}
	lay(t, from, slices.Concat([]string{"nix/var/nix/db/big-lock", "nix/var/nix/db/schema"}, []string{
		"nix/store/" + whole[0], "nix/store/" + whole[1], "nix/store/add-123-0/x", "nix/store/.links/x", "nix/store/" + hash + "-x.drv",
	})...)
	require.NoError(t, os.WriteFile(filepath.Join(from, "nix/store", hash+"-source.lock"), nil, 0o600))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(from, "nix/store", hash+"-link")))
	e := &Evaluator{}
	require.NoError(t, e.linkStore(t.Context(), from, to))
	entries, err := os.ReadDir(filepath.Join(to, "nix/store"))
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	require.Equal(t, []string{hash + "-flake.lock", hash + "-link", hash + "-source"}, names)
	require.Equal(t, whole, there(filepath.Join(to, "nix/store"), whole...))
	require.NoError(t, linkTree(t.Context(), filepath.Join(from, "gone"), filepath.Join(to, "gone")), "another nix has renamed it meanwhile")
}

func TestTheLockOfTheStoreIsNotWaitedForWithoutEnd(t *testing.T) {
	from := t.TempDir()
	lay(t, from, "nix/var/nix/db/big-lock", "nix/var/nix/db/schema", "nix/store/x")
	held, err := lockDatabase(t.Context(), filepath.Join(from, "nix/var/nix/db/big-lock"))
	require.NoError(t, err)
	defer held()
	var mu sync.Mutex
	var said []string
	e := &Evaluator{Timeout: 1500 * time.Millisecond, Progress: func(ev Event) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, ev.String())
	}}
	err = e.linkStore(t.Context(), from, t.TempDir())
	var te *TimeoutError
	require.ErrorAs(t, err, &te)
	require.EqualError(t, err, "waiting for another stateward took longer than 1.5s")
	mu.Lock()
	require.Equal(t, []string{"waiting for another stateward that uses the private folder"}, said)
	mu.Unlock()

	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(errGivenUp) })
	began := time.Now()
	err = (&Evaluator{}).linkStore(ctx, from, t.TempDir())
	require.True(t, errors.Is(err, errGivenUp), "%v", err)
	require.Less(t, time.Since(began), time.Second)
}
