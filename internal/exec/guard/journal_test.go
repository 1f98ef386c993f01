package guard_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/exec/guard"
)

var now = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

func entry(e guard.Event, digest string) guard.Entry {
	return guard.Entry{Time: now, Event: e, Digest: digest}
}

func add(t *testing.T, j guard.Journal, entries ...guard.Entry) {
	t.Helper()
	require.NoError(t, j.Update(func([]guard.Entry, int) []guard.Entry { return entries }))
}

func TestAnOverrideIsUsedOnce(t *testing.T) {
	a, b, used := entry(guard.Overridden, "a"), entry(guard.Overridden, "b"), entry(guard.Used, "a")
	declared := used
	declared.Declared = true
	require.Equal(t, []guard.Entry{a, b}, guard.Pending([]guard.Entry{a, b}))
	require.Equal(t, []guard.Entry{b}, guard.Pending([]guard.Entry{a, b, used}))
	require.Equal(t, []guard.Entry{b, a}, guard.Pending([]guard.Entry{a, b, used, a}))
	require.Equal(t, []guard.Entry{a}, guard.Pending([]guard.Entry{a, declared}), "what the configuration lets pass uses up nothing")
	require.Empty(t, guard.Pending([]guard.Entry{used}))
}

// Of many at once, one gets it.
func TestOneOfManyUsesAnOverride(t *testing.T) {
	j := guard.Journal{Dir: filepath.Join(t.TempDir(), "state")}
	add(t, j, entry(guard.Overridden, "a"))
	for name, want := range map[string]os.FileMode{j.Dir: 0o755, j.File(): 0o600} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, want, info.Mode().Perm(), name)
	}
	var wg sync.WaitGroup
	var got atomic.Int32
	for range 20 {
		wg.Go(func() {
			err := j.Update(func(entries []guard.Entry, _ int) []guard.Entry {
				if len(guard.Pending(entries)) == 0 {
					return []guard.Entry{entry(guard.Refused, "a")}
				}
				got.Add(1)
				return []guard.Entry{entry(guard.Used, "a")}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, got.Load())
	entries, unread, err := j.Read()
	require.NoError(t, err)
	require.Zero(t, unread)
	require.Len(t, entries, 21)
}

// A line that was cut off overrides nothing, and does not swallow the next one.
func TestWhatIsCutOffIsNoOverride(t *testing.T) {
	j := guard.Journal{Dir: t.TempDir()}
	add(t, j, entry(guard.Overridden, "a"))
	whole, err := os.ReadFile(j.File())
	require.NoError(t, err)
	for n := range len(whole) {
		require.NoError(t, os.WriteFile(j.File(), whole[:n], 0o600))
		entries, unread, err := j.Read()
		require.NoError(t, err)
		require.Empty(t, entries)
		require.Equal(t, n > 0, unread == 1)
	}
	add(t, j, entry(guard.Overridden, "b"))
	entries, unread, err := j.Read()
	require.NoError(t, err)
	require.Equal(t, 1, unread)
	require.Equal(t, []guard.Entry{entry(guard.Overridden, "b")}, entries)
	for _, line := range []string{"{}", "null", "[]", "x", `{"event":"overridden","digest":"a"}`, `{"event":"else","digest":"a","time":"2026-03-17T12:00:00Z"}`, `{"event":"overridden","time":"2026-03-17T12:00:00Z"}`, "\x00", strings.Repeat("[", 100000)} {
		require.NoError(t, os.WriteFile(j.File(), []byte(line+"\n"), 0o600))
		entries, unread, err := j.Read()
		require.NoError(t, err)
		require.Empty(t, entries, line)
		require.Equal(t, 1, unread, line)
	}
}

func TestAJournalOfOthersIsNotRead(t *testing.T) {
	j := guard.Journal{Dir: t.TempDir()}
	never := func([]guard.Entry, int) []guard.Entry {
		t.Error("it was asked")
		return nil
	}
	refused := func(why string) {
		t.Helper()
		_, _, err := j.Read()
		require.Error(t, err, why)
		require.Error(t, j.Update(never), why)
	}
	require.NoError(t, os.WriteFile(j.File(), nil, 0o600))
	require.NoError(t, os.Chmod(j.File(), 0o666))
	refused("others can write it")
	require.NoError(t, os.Remove(j.File()))
	require.NoError(t, os.Symlink(filepath.Join(j.Dir, "elsewhere"), j.File()))
	refused("it is a link")
	require.NoFileExists(t, filepath.Join(j.Dir, "elsewhere"))
	require.NoError(t, os.Remove(j.File()))
	require.NoError(t, os.Mkdir(j.File(), 0o700))
	refused("it is a folder")
}

func TestAJournalThatIsNotThereIsEmpty(t *testing.T) {
	entries, unread, err := guard.Journal{Dir: filepath.Join(t.TempDir(), "none")}.Read()
	require.NoError(t, err)
	require.Empty(t, entries)
	require.Zero(t, unread)
}

func TestAJournalThatSomebodyHoldsEndsTheWait(t *testing.T) {
	j := guard.Journal{Dir: t.TempDir(), LockWait: 50 * time.Millisecond}
	f, err := os.OpenFile(j.File(), os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	err = j.Update(func([]guard.Entry, int) []guard.Entry {
		t.Error("asked while another holds it")
		return nil
	})
	require.EqualError(t, err, "cannot lock "+j.File()+": another process holds it for more than 50ms")
}
