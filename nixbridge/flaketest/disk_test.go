package flaketest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// texts are files as they would have been written.
func texts(host, text string) RenderedHost {
	h := RenderedHost{Name: host, Files: map[string][]byte{}}
	for _, n := range FileNames() {
		h.Files[n] = []byte("# " + mark + "\n" + host + " " + text + "\n")
	}
	return h
}

func rendering(hosts ...RenderedHost) *Rendering { return &Rendering{Hosts: hosts} }

// look lists what is in a folder, links and folders too.
func look(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		switch {
		case d.IsDir():
			out[rel] = "folder"
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			out[rel] = "-> " + target
			return err
		default:
			text, err := os.ReadFile(path)
			out[rel] = string(text)
			return err
		}
		return nil
	}))
	return out
}

func put(t *testing.T, file, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
}

func must(t *testing.T, dir string, r *Rendering) Changes {
	t.Helper()
	c, err := r.Update(dir)
	require.NoError(t, err)
	return c
}

func names(dir, host string) []string {
	var out []string
	for _, n := range FileNames() {
		out = append(out, filepath.Join(dir, host, n))
	}
	return out
}

func TestUpdateWritesWhatDiffers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "golden")
	both := rendering(texts("a", "1"), texts("b", "1"))
	require.Empty(t, cmp.Diff(Changes{Written: append(names(dir, "a"), names(dir, "b")...)}, must(t, dir, both)))
	require.Empty(t, cmp.Diff(Changes{}, must(t, dir, both)), "the second time there is nothing to do")
	diffs, err := both.Compare(dir)
	require.NoError(t, err)
	require.Empty(t, diffs)

	changed := texts("b", "1")
	changed.Files[SurvivalFile] = []byte("# " + mark + "\nother\n")
	next := rendering(texts("a", "1"), changed)
	diffs, err = next.Compare(dir)
	require.NoError(t, err)
	require.Len(t, diffs, 1)
	require.Equal(t, Difference{Changed, filepath.Join(dir, "b", SurvivalFile), "b", diffs[0].Text}, diffs[0])
	require.Contains(t, diffs[0].Text, "-b 1\n+other\n")
	require.Empty(t, cmp.Diff(Changes{Written: []string{filepath.Join(dir, "b", SurvivalFile)}}, must(t, dir, next)))
	require.NoError(t, os.Remove(filepath.Join(dir, "b", SurvivalFile)))
	diffs, err = next.Compare(dir)
	require.NoError(t, err)
	require.Equal(t, []Difference{{Missing, filepath.Join(dir, "b", SurvivalFile), "b", ""}}, diffs)
}

func TestHostsThatAreGone(t *testing.T) {
	dir := t.TempDir()
	must(t, dir, rendering(texts("a", "1"), texts("b", "1"), texts("c", "1")))
	foreign := map[string]string{
		"README.md":              "mine, " + mark,
		"evaluated.json":         "not in the folder of a host, " + mark,
		"b/notes.txt":            "mine, " + mark,
		"d/findings.txt":         "found by somebody else",
		"e/deep/findings.txt":    mark,
		"f/survival.txt/evil.md": mark,
	}
	for name, text := range foreign {
		put(t, filepath.Join(dir, name), text)
	}
	outside := t.TempDir()
	put(t, filepath.Join(outside, "findings.txt"), mark)
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "link")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "g"), 0o755))
	require.NoError(t, os.Symlink(filepath.Join(outside, "findings.txt"), filepath.Join(dir, "g", "findings.txt")))
	put(t, filepath.Join(dir, "c", ".findings.txt"+unfinished), "half a li") // a run that was killed

	r := rendering(texts("a", "1"))
	diffs, err := r.Compare(dir)
	require.NoError(t, err)
	var stale []string
	for _, d := range diffs {
		require.Equal(t, Stale, d.Kind)
		require.Contains(t, d.String(), "is stale")
		stale = append(stale, d.File)
	}
	want := append(names(dir, "b"), filepath.Join(dir, "c", ".findings.txt"+unfinished))
	want = append(want, names(dir, "c")...)
	require.Empty(t, cmp.Diff(want, stale))

	limited := rendering(texts("a", "1"))
	limited.Limited = true
	diffs, err = limited.Compare(dir)
	require.NoError(t, err)
	require.Empty(t, diffs, "nothing is known of the others")
	require.Empty(t, cmp.Diff(Changes{}, must(t, dir, limited)))

	require.Empty(t, cmp.Diff(Changes{Removed: want}, must(t, dir, r)))
	have := look(t, dir)
	for name, text := range foreign {
		require.Equal(t, text, have[name], name)
	}
	require.NotContains(t, have, "c", "an empty folder goes")
	require.Contains(t, have, "b", "one that holds something else stays")
	require.Equal(t, map[string]string{"findings.txt": mark}, look(t, outside))
}

func TestNothingOutsideIsTouched(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(t *testing.T, dir, outside string)
		want    error
	}{
		"folder of a host is a link": {func(t *testing.T, dir, outside string) {
			require.NoError(t, os.Symlink(outside, filepath.Join(dir, "a")))
		}, errLink},
		"folder of a host is a link to another host's": {func(t *testing.T, dir, _ string) {
			require.NoError(t, os.Mkdir(filepath.Join(dir, "z"), 0o755))
			require.NoError(t, os.Symlink("z", filepath.Join(dir, "a")))
		}, errLink},
		"file is a link": {func(t *testing.T, dir, outside string) {
			require.NoError(t, os.Mkdir(filepath.Join(dir, "a"), 0o755))
			require.NoError(t, os.Symlink(filepath.Join(outside, "findings.txt"), filepath.Join(dir, "a", "findings.txt")))
		}, errLink},
		"dangling link": {func(t *testing.T, dir, outside string) {
			require.NoError(t, os.Mkdir(filepath.Join(dir, "a"), 0o755))
			require.NoError(t, os.Symlink(filepath.Join(outside, "new.txt"), filepath.Join(dir, "a", "survival.txt")))
		}, errLink},
		"file is a folder": {func(t *testing.T, dir, _ string) {
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "b", "survival.txt"), 0o755))
		}, errRegular},
		"folder of a host is a file": {func(t *testing.T, dir, _ string) { put(t, filepath.Join(dir, "b"), "x") }, errFolder},
		"somebody else's file": {func(t *testing.T, dir, _ string) {
			put(t, filepath.Join(dir, "b", "findings.txt"), "what I found in the garden\n")
		}, errForeign},
	} {
		t.Run(name, func(t *testing.T) {
			dir, outside := t.TempDir(), t.TempDir()
			put(t, filepath.Join(outside, "findings.txt"), mark)
			tc.prepare(t, dir, outside)
			before, beyond := look(t, dir), look(t, outside)
			r := rendering(texts("a", "2"), texts("b", "2"))
			_, err := r.Update(dir)
			require.ErrorIs(t, err, tc.want)
			var de *DirError
			require.ErrorAs(t, err, &de)
			require.NotEmpty(t, de.Hint())
			require.Empty(t, cmp.Diff(before, look(t, dir)), "nothing was written")
			require.Empty(t, cmp.Diff(beyond, look(t, outside)))
			if !errors.Is(tc.want, errForeign) {
				_, err = r.Compare(dir)
				require.ErrorIs(t, err, tc.want)
			}
		})
	}
}

// A link that is put in the way of what is written beside is not followed either.
func TestLinkBeside(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	put(t, filepath.Join(outside, "victim"), "precious")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "a"), 0o755))
	require.NoError(t, os.Symlink(filepath.Join(outside, "victim"), filepath.Join(dir, "a", ".survival.txt"+unfinished)))
	must(t, dir, rendering(texts("a", "1")))
	require.Equal(t, map[string]string{"victim": "precious"}, look(t, outside))
	require.Len(t, look(t, dir), 1+len(FileNames()))
}

// Whatever fails, and however late, the old files are all there, and nothing else.
func TestFailingUpdateLeavesTheOldFiles(t *testing.T) {
	old := rendering(texts("a", "1"), texts("b", "1"), texts("gone", "1"))
	next := rendering(texts("a", "2"), texts("b", "2"), texts("new", "2"))
	full := errors.New("no space left on device")
	for op, times := range map[string]int{"write": 12, "rename": 12} {
		for n := range times {
			dir := t.TempDir()
			must(t, dir, old)
			before := look(t, dir)
			d, err := openDisk(dir)
			require.NoError(t, err)
			seen := 0
			d.fail = func(what, _ string) error {
				if what == op {
					if seen++; seen == n+1 {
						return full
					}
				}
				return nil
			}
			c, err := d.update(next)
			d.close()
			require.ErrorIs(t, err, full)
			require.Empty(t, cmp.Diff(Changes{}, c))
			require.Empty(t, cmp.Diff(before, look(t, dir)), "%s %d", op, n)
		}
	}
}

func TestFailedHostsWriteNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "golden")
	r := rendering(texts("a", "1"))
	r.Failed = []HostError{{"b", errors.New("it throws")}}
	_, err := r.Update(dir)
	require.EqualError(t, err, "host b failed: it throws")
	require.NoDirExists(t, dir)

	must(t, dir, rendering(texts("a", "1"), texts("b", "1")))
	diffs, err := r.Compare(dir)
	require.NoError(t, err)
	require.Empty(t, diffs, "whether the files of b are stale is not known")
}

// A merge that left its marks is mended by writing anew.
func TestMergeConflictIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	r := rendering(texts("a", "1"))
	put(t, filepath.Join(dir, "a", FindingsFile), "<<<<<<< ours\n# "+mark+"\nx\n=======\n# "+mark+"\ny\n>>>>>>> theirs\n")
	put(t, filepath.Join(dir, "a", SurvivalFile), "")
	must(t, dir, r)
	diffs, err := r.Compare(dir)
	require.NoError(t, err)
	require.Empty(t, diffs)
}

func TestPrepare(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	put(t, file, "x")
	require.NoError(t, Prepare(dir, false))
	require.NoError(t, Prepare(filepath.Join(dir, "new"), true))
	err := Prepare(filepath.Join(dir, "new"), false)
	var de *DirError
	require.ErrorAs(t, err, &de)
	require.True(t, de.NotThere())
	require.ErrorIs(t, Prepare(file, true), errFolder)
	require.ErrorIs(t, Prepare(file, false), errFolder)
	require.Error(t, Prepare(filepath.Join(file, "below"), true), "a file in the way")
}

func TestPrintableDifference(t *testing.T) {
	d := Difference{Kind: Changed, Text: "-\x1b[2Jx\n+y\u202e\n"}
	require.Equal(t, "-\\x1b[2Jx\n+y\\x202e\n", d.Printable())
}

func TestFolderName(t *testing.T) {
	for host, want := range map[string]string{
		"forge": "forge", "Web-01.example_net": "Web-01.example_net", "..": "%2E.", ".": "%2E", ".git": "%2Egit", "a/b": "a%2Fb", "": "%",
		"%2E": "%252E", "a b": "a%20b", "ü": "%C3%BC", "x\x00\n": "x%00%0A", "a\\b": "a%5Cb",
	} {
		require.Equal(t, want, folderName(host), host)
		if host != "" {
			require.Equal(t, host, hostName(want))
		}
	}
	long := strings.Repeat("x", 300)
	require.NotEqual(t, folderName(long+"1"), folderName(long+"2"))
	require.LessOrEqual(t, len(folderName(long)), maxName)
}

func FuzzFolderName(f *testing.F) {
	for _, s := range []string{"forge", "..", "a/b", "%+", strings.Repeat("ü", 100)} {
		f.Add(s, s+"x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := folderName(a), folderName(b)
		if (a == b) != (x == y) {
			t.Errorf("%q and %q: %q and %q", a, b, x, y)
		}
		if x == "" || x[0] == '.' || len(x) > maxName || !filepath.IsLocal(x) || strings.ContainsAny(x, "/\\\x00\n") {
			t.Errorf("%q: %q", a, x)
		}
	})
}
