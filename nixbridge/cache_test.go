package nixbridge_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stateward/stateward/internal/run"
	"github.com/stateward/stateward/nixbridge"
)

// counting is an evaluator whose nix writes down each time that it is started, and whose events are remembered.
type counting struct {
	*nixbridge.Evaluator
	log    string
	mu     sync.Mutex
	events []string
}

func newCounting(t testing.TB, e *nixbridge.Evaluator) *counting {
	real := e.Nix
	if real == "" {
		real = "nix"
	}
	path, err := run.LookPath(real, os.Environ())
	require.NoError(t, err)
	dir := t.TempDir()
	c := &counting{Evaluator: e, log: filepath.Join(dir, "log")}
	script := fmt.Sprintf("#!/bin/sh\necho \"$1\" >>'%s'\nexec '%s' \"$@\"\n", c.log, path)
	e.Nix = filepath.Join(dir, "nix")
	require.NoError(t, os.WriteFile(e.Nix, []byte(script), 0o755))
	e.Progress = func(ev nixbridge.Event) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if ev.Kind == nixbridge.EventCached || ev.Kind == nixbridge.EventUncached {
			said, _, _ := strings.Cut(ev.String(), " (")
			c.events = append(c.events, said)
		}
	}
	return c
}

// evals are the evaluations since it was asked last.
func (c *counting) evals(t testing.TB) int {
	text, _ := os.ReadFile(c.log)
	require.NoError(t, os.WriteFile(c.log, nil, 0o600))
	return strings.Count(string(text), "eval\n")
}

func (c *counting) said() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	said := c.events
	c.events = nil
	slices.Sort(said)
	return said
}

func saved(t testing.TB, ev *nixbridge.Evaluation) string {
	var b bytes.Buffer
	require.NoError(t, ev.Write(&b))
	return b.String()
}

func gitFlake(t testing.TB) string {
	dir := folder(t, map[string]string{
		"flake.nix": `{ outputs = { self }: { nixosConfigurations = {
  a.config.test = { a.text = builtins.readFile ./a.txt; b.text = throw "b is broken"; };
  b.config.test.a = { text = self.rev or "dirty"; value = self.lastModified; };
}; }; }`, "a.txt": "one", "untracked.txt": "x",
	})
	git(t, dir, "init", "-q")
	git(t, dir, "add", "flake.nix", "a.txt")
	git(t, dir, "commit", "-qm", "one")
	return dir
}

func TestWhatHasNotChangedIsNotEvaluatedAgain(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		c := newCounting(t, e)
		dir := gitFlake(t)
		cold, err := c.Evaluate(t.Context(), source(t, dir))
		require.NoError(t, err)
		require.Greater(t, c.evals(t), 2)
		require.Empty(t, c.said())

		again := func(evals int, said ...string) *nixbridge.Evaluation {
			t.Helper()
			ev, err := c.Evaluate(t.Context(), source(t, dir))
			require.NoError(t, err)
			if evals == 0 {
				require.Zero(t, c.evals(t))
			} else {
				require.GreaterOrEqual(t, c.evals(t), evals)
			}
			require.Equal(t, said, c.said())
			return ev
		}
		unchanged := []string{"a is unchanged", "b is unchanged"}
		warm := again(0, unchanged...)
		require.Equal(t, saved(t, cold), saved(t, warm))

		// One of two hosts, by name, is the same entry.
		one, err := c.Evaluate(t.Context(), source(t, dir+"#a"))
		require.NoError(t, err)
		require.LessOrEqual(t, c.evals(t), 1, "the list of hosts is of another source")
		require.Len(t, one.Hosts, 1)
		c.said()

		// What git does not know does not count, what it knows does, be it committed or not.
		require.NoError(t, os.WriteFile(filepath.Join(dir, "untracked.txt"), []byte("y"), 0o600))
		again(0, unchanged...)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "a.txt"), []byte("two"), 0o600))
		require.Contains(t, saved(t, again(3)), "two")
		again(0, unchanged...)
		git(t, dir, "commit", "-qam", "two")
		require.NotContains(t, saved(t, again(3)), "dirty", "self.rev is another")
		git(t, dir, "commit", "-q", "--allow-empty", "-m", "three")
		again(3)
		require.NoError(t, os.Chmod(filepath.Join(dir, "a.txt"), 0o755))
		again(3)
	})
}

func TestWhatIsNeverKept(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		c := newCounting(t, e)
		twice := func(arg string, said ...string) {
			t.Helper()
			for range 2 {
				_, err := c.Evaluate(t.Context(), source(t, arg))
				require.NoError(t, err)
				require.NotZero(t, c.evals(t))
				require.Equal(t, said, c.said())
			}
		}
		file := filepath.Join(folder(t, map[string]string{"h.nix": `{ a.config.test.a.text = "x"; }`}), "h.nix")
		twice(file, "not kept for the next time: a .nix file may read anything on this machine")

		fails := folder(t, map[string]string{"flake.nix": `{ outputs = { self }: { nixosConfigurations.a.config = { }.nope; }; }`})
		twice(fails, "a is not kept for the next time: it failed")

		unlocked := folder(t, map[string]string{
			"flake.nix":     `{ inputs.sub.url = "path:./sub"; outputs = { self, sub }: { nixosConfigurations.a.config.test.a.text = sub.v; }; }`,
			"sub/flake.nix": `{ outputs = { self }: { v = "1"; }; }`,
		})
		git(t, unlocked, "init", "-q")
		git(t, unlocked, "add", "-A")
		twice(unlocked, "not kept for the next time: flake.lock does not pin all inputs")

		c.MaxHeap = 64 << 20
		hungry := folder(t, map[string]string{"flake.nix": `{ outputs = { self }: { nixosConfigurations.a.config.test = {
  a.text = "x"; b.value = builtins.length (builtins.concatLists (builtins.genList (i: builtins.genList (j: "${toString i}${toString j}") 100000) 100000)); }; }; }`})
		twice(hungry, "a is not kept for the next time: of test.b.value, nix ran out of memory")
		c.MaxHeap = 0

		c.NoCache = true
		twice(gitFlake(t))
	})
}

// An evaluation that may be of what the flake was before, or of what it became, is of neither.
func TestFlakeThatChangesMeanwhileIsNotKept(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		c := newCounting(t, e)
		dir := gitFlake(t)
		progress := e.Progress
		e.Progress = func(ev nixbridge.Event) {
			if ev.Kind == nixbridge.EventStart && ev.Host == "a" {
				require.NoError(t, os.WriteFile(filepath.Join(dir, "a.txt"), []byte("edited"), 0o600))
			}
			progress(ev)
		}
		c.Workers = 1
		_, err := c.Evaluate(t.Context(), source(t, dir))
		require.NoError(t, err)
		require.Contains(t, c.said(), "a is not kept for the next time: the flake changed meanwhile")
		e.Progress = progress
		git(t, dir, "checkout", "-q", "a.txt")
		c.evals(t)
		ev, err := c.Evaluate(t.Context(), source(t, dir))
		require.NoError(t, err)
		require.NotZero(t, c.evals(t))
		require.NotContains(t, saved(t, ev), "edited")
	})
}

func TestFlakeWithSubmodulesIsNotKept(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		c := newCounting(t, e)
		dir := gitFlake(t)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "flake.nix"), []byte(`{ # with inputs.self.submodules = true
  outputs = { self }: { nixosConfigurations.a.config.test.a.text = "x"; }; }`), 0o600))
		git(t, dir, "update-index", "--add", "--cacheinfo", "160000,1234567890123456789012345678901234567890,sub")
		_, err := c.Evaluate(t.Context(), source(t, dir))
		require.NoError(t, err)
		require.Equal(t, []string{"not kept for the next time: the flake asks for its submodules, whose files are not hashed"}, c.said())
	})
}

// A path: flake is told when its newest file was changed.
func TestPathFlakeIsKnownByItsTimesToo(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		c := newCounting(t, e)
		dir := folder(t, map[string]string{"flake.nix": `{ outputs = { self }: { nixosConfigurations.a.config.test.a.value = self.lastModified; }; }`})
		first, err := c.Evaluate(t.Context(), source(t, "path:"+dir))
		require.NoError(t, err)
		c.evals(t)
		later := time.Now().Add(time.Hour).Truncate(time.Second)
		require.NoError(t, os.Chtimes(filepath.Join(dir, "flake.nix"), later, later))
		second, err := c.Evaluate(t.Context(), source(t, "path:"+dir))
		require.NoError(t, err)
		require.NotZero(t, c.evals(t))
		require.NotEqual(t, saved(t, first), saved(t, second))
	})
}

func TestBrokenEntriesAreNone(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		c := newCounting(t, e)
		dir := gitFlake(t)
		want, err := c.Evaluate(t.Context(), source(t, dir))
		require.NoError(t, err)
		files, err := filepath.Glob(filepath.Join(e.CacheDir, "evaluations/*"))
		require.NoError(t, err)
		require.Len(t, files, 3)
		for _, spoil := range []func([]byte) []byte{
			func(b []byte) []byte { return b[:len(b)-2] },
			func(b []byte) []byte { return bytes.Replace(b, []byte("broken"), []byte("sound!"), 1) },
			func([]byte) []byte { return nil },
			func([]byte) []byte { return []byte("{}\n") },
		} {
			for _, f := range files {
				st, err := os.Stat(f)
				require.NoError(t, err)
				require.Equal(t, os.FileMode(0o600), st.Mode().Perm())
				text, err := os.ReadFile(f)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(f, spoil(text), 0o600))
			}
			c.evals(t)
			got, err := c.Evaluate(t.Context(), source(t, dir))
			require.NoError(t, err)
			require.NotZero(t, c.evals(t))
			require.Equal(t, saved(t, want), saved(t, got))
		}
	})
}

func TestCacheThatCannotBeWritten(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		c := newCounting(t, e)
		// A file where the folder should be stands for all that keeps one from writing, for root too.
		require.NoError(t, os.MkdirAll(e.CacheDir, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(e.CacheDir, "evaluations"), nil, 0o600))
		ev, err := c.Evaluate(t.Context(), source(t, gitFlake(t)))
		require.NoError(t, err)
		require.Len(t, ev.Hosts, 2)
		said := strings.Join(c.said(), "\n")
		require.Contains(t, said, "a is not kept for the next time: it cannot be written: ")
	})
}

func TestOneEvaluationServesAllWhoAskMeanwhile(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		c := newCounting(t, e)
		dir := gitFlake(t)
		_, err := c.Evaluate(t.Context(), source(t, dir))
		require.NoError(t, err)
		_, err = (&nixbridge.Cache{Dir: e.CacheDir}).Clear()
		require.NoError(t, err)
		alone := 0
		{
			c.evals(t)
			_, err = c.Evaluate(t.Context(), source(t, dir))
			require.NoError(t, err)
			alone = c.evals(t)
			_, err = (&nixbridge.Cache{Dir: e.CacheDir}).Clear()
			require.NoError(t, err)
		}
		var g errgroup.Group
		results := make([]string, 8)
		for i := range results {
			g.Go(func() error {
				ev, err := c.Evaluate(t.Context(), source(t, dir))
				if err == nil {
					results[i] = saved(t, ev)
				}
				return err
			})
		}
		require.NoError(t, g.Wait())
		// Only the lists of hosts are asked for by each.
		require.Less(t, c.evals(t), alone+len(results)+2)
		for _, r := range results {
			require.Equal(t, results[0], r)
		}
	})
}

func TestCacheIsBoundedAndCleared(t *testing.T) {
	dir := t.TempDir()
	c := &nixbridge.Cache{Dir: dir, Limit: 10_000}
	n, err := c.Clear()
	require.NoError(t, err)
	require.Zero(t, n)
	for i := range 30 {
		key := fmt.Sprintf("%064x", i)
		require.NoError(t, c.Write(key, "host", bytes.Repeat([]byte("x"), 1000)))
		when := time.Unix(int64(1000+i), 0)
		if i == 29 {
			break
		}
		require.NoError(t, os.Chtimes(filepath.Join(dir, "evaluations", key), when, when))
	}
	entries, err := c.Entries()
	require.NoError(t, err)
	var total int64
	for _, e := range entries {
		total += e.Size
		require.Equal(t, "host", e.Host)
	}
	require.LessOrEqual(t, total, int64(10_000))
	require.Greater(t, len(entries), 3)
	require.Equal(t, fmt.Sprintf("%064x", 29), entries[0].Key)

	other := filepath.Join(dir, "evaluations", "notes.txt")
	require.NoError(t, os.WriteFile(other, []byte("not ours"), 0o600))
	n, err = c.Clear()
	require.NoError(t, err)
	require.Equal(t, len(entries), n)
	require.FileExists(t, other)
}
