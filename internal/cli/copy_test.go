package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	runner "github.com/stateward/stateward/internal/run"
)

// site is a host's file system in a folder: what lies in "live" is to get to "root".
type site struct {
	t    *testing.T
	dir  string
	plan HostPersistence
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a b 'c' \"d\" $(id)")
	s := &site{t: t, dir: dir, plan: HostPersistence{Name: "forge\nrm -rf /", Root: filepath.Join(dir, "root")}}
	for _, d := range []string{"live", "root", "bin"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	// What a unit does is written down. All are active.
	s.write("bin/systemctl", "#!/bin/sh\necho \"$@\" >> \"$(dirname \"$0\")/calls\"\n")
	require.NoError(t, os.Chmod(filepath.Join(dir, "bin/systemctl"), 0o755))
	return s
}

func (s *site) write(name, text string) {
	s.t.Helper()
	file := filepath.Join(s.dir, name)
	require.NoError(s.t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(s.t, os.WriteFile(file, []byte(text), 0o644))
}

// add plans to copy live/NAME to root/NAME; keep is relative to root.
func (s *site) add(kind, name string, keep ...string) {
	c := CopyPlan{Kind: kind, From: filepath.Join(s.dir, "live", name), To: filepath.Join(s.dir, "root", name), Units: []string{`a-\x2d.service`}}
	for _, k := range keep {
		c.Keep = append(c.Keep, filepath.Join(s.dir, "root", k))
	}
	s.plan.Copy = append(s.plan.Copy, c)
}

// run runs the script with a real bash.
func (s *site) run() (text string, ok bool) {
	s.t.Helper()
	script, err := copyShell(s.plan)
	require.NoError(s.t, err)
	file := filepath.Join(s.dir, "script")
	require.NoError(s.t, os.WriteFile(file, []byte(script), 0o644))
	r, err := runner.Run(context.Background(), runner.Cmd{Path: "bash", Args: []string{file}, Env: []string{
		"PATH=" + filepath.Join(s.dir, "bin") + ":" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "STATEWARD_UNPRIVILEGED=1",
	}})
	return string(r.Stdout) + string(r.Stderr), err == nil
}

// tree lists what lies in a folder: mode, name and text.
func (s *site) tree(of string) []string {
	s.t.Helper()
	var out []string
	top := filepath.Join(s.dir, of)
	require.NoError(s.t, filepath.WalkDir(top, func(name string, d os.DirEntry, err error) error {
		if err != nil || name == top || strings.HasPrefix(d.Name(), ".stateward-") {
			return err
		}
		info, err := d.Info()
		require.NoError(s.t, err)
		rel, _ := filepath.Rel(top, name)
		text := ""
		switch {
		case info.Mode().IsRegular():
			b, err := os.ReadFile(name)
			require.NoError(s.t, err)
			text = " " + string(b)
		case info.Mode()&os.ModeSymlink != 0:
			text, err = os.Readlink(name)
			text = " -> " + text
			require.NoError(s.t, err)
		}
		out = append(out, fmt.Sprintf("%s %q%s", info.Mode(), rel, text))
		return nil
	}))
	return out
}

func TestP8CopyScript(t *testing.T) {
	s := newSite(t)
	odd := "var/lib/it's \"odd\" $x *\n[a] -n"
	s.write("live/"+odd+"/data file", "1")
	s.write("live/"+odd+"/-n", "2")
	s.write("live/"+odd+"/.hidden", "3")
	require.NoError(t, os.Symlink("data file", filepath.Join(s.dir, "live", odd, "link")))
	require.NoError(t, os.Chmod(filepath.Join(s.dir, "live", odd), 0o2750))
	require.NoError(t, os.Chmod(filepath.Join(s.dir, "live/var/lib"), 0o711))
	s.write("live/etc/key", "k")
	require.NoError(t, os.Chmod(filepath.Join(s.dir, "live/etc/key"), 0o600))
	s.add("directory", odd)
	s.add("file", "etc/key")
	s.add("directory", "var/lib/gone")
	want := s.tree("live")

	text, ok := s.run()
	require.True(t, ok, text)
	require.Empty(t, cmp.Diff(want, s.tree("root")), text)
	require.Empty(t, cmp.Diff(want, s.tree("live")), "nothing is taken away")
	calls, err := os.ReadFile(filepath.Join(s.dir, "bin/calls"))
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("is-active --quiet -- a-\\x2d.service\nstop -- a-\\x2d.service\n", 2), string(calls), "not for what is not there")

	t.Run("nothing is done the second time", func(t *testing.T) {
		require.NoError(t, os.Remove(filepath.Join(s.dir, "bin/calls")))
		s.write("live/etc/key", "changed")
		text, ok := s.run()
		require.True(t, ok, text)
		require.Empty(t, cmp.Diff(want, s.tree("root")))
		require.NoFileExists(t, filepath.Join(s.dir, "bin/calls"))
		require.NotContains(t, text, "copying:")
	})
}

func TestP8CopyScriptKeepsWhatIsThere(t *testing.T) {
	s := newSite(t)
	for _, f := range []string{"private/a/x", "private/b/y", "private/c/in/z", "private/c/other"} {
		s.write("live/"+f, "live")
	}
	// Two of them are persisted already, and what lies in the storage is newer.
	s.write("root/private/a/x", "kept")
	s.write("root/private/c/in/z", "kept")
	require.NoError(t, os.Chmod(filepath.Join(s.dir, "live/private"), 0o700))
	s.add("directory", "private", "private/a", "private/c/in")
	text, ok := s.run()
	require.True(t, ok, text)
	require.Empty(t, cmp.Diff([]string{
		`drwx------ "private"`, `drwxr-xr-x "private/a"`, `-rw-r--r-- "private/a/x" kept`, `drwxr-xr-x "private/b"`, `-rw-r--r-- "private/b/y" live`,
		`drwxr-xr-x "private/c"`, `drwxr-xr-x "private/c/in"`, `-rw-r--r-- "private/c/in/z" kept`, `-rw-r--r-- "private/c/other" live`,
	}, s.tree("root")))
}

func TestP8CopyScriptRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		arrange    func(*site)
	}{
		{"a target that is not empty", "is not empty", func(s *site) { s.write("root/d/other", "x") }},
		{"a target beside what is kept", "is not empty", func(s *site) {
			s.write("root/d/keep", "x")
			s.write("root/d/other", "x")
			s.plan.Copy[1].Keep = []string{s.plan.Copy[1].To + "/keep"}
		}},
		{"a file that is there", "is not empty", func(s *site) { s.write("root/f", "x") }},
		{"a symbolic link", "is a symbolic link", func(s *site) {
			require.NoError(s.t, os.RemoveAll(filepath.Join(s.dir, "live/d")))
			require.NoError(s.t, os.Symlink("private/d", filepath.Join(s.dir, "live/d")))
		}},
		{"a directory where a file should be", "is no file", func(s *site) {
			require.NoError(s.t, os.Remove(filepath.Join(s.dir, "live/f")))
			require.NoError(s.t, os.Mkdir(filepath.Join(s.dir, "live/f"), 0o755))
		}},
		{"a root that is not there", "there is no directory", func(s *site) { require.NoError(s.t, os.RemoveAll(s.plan.Root)) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSite(t)
			s.write("live/first/x", "x")
			s.write("live/d/x", "x")
			s.write("live/f", "x")
			s.add("directory", "first")
			s.add("directory", "d")
			s.add("file", "f")
			tc.arrange(s)
			var before []string
			if _, err := os.Stat(s.plan.Root); err == nil {
				before = s.tree("root")
			}
			text, ok := s.run()
			require.False(t, ok, text)
			require.Contains(t, text, tc.want)
			if before != nil {
				require.Empty(t, cmp.Diff(before, s.tree("root")), "it refuses before it does anything")
			}
		})
	}
}

// Whatever step a run is interrupted after, the next one gets to the same end.
func TestP8CopyScriptGoesOn(t *testing.T) {
	end := func(arrange func(*site)) []string {
		s := newSite(t)
		s.write("live/d/a", "1")
		s.write("live/d/b/c", "2")
		s.add("directory", "d")
		arrange(s)
		text, ok := s.run()
		require.True(t, ok, text)
		return s.tree("root")
	}
	journal := func(s *site) { // as the script writes it
		r, err := runner.Run(context.Background(), runner.Cmd{Path: "bash", Args: []string{"-c", `printf '%q\n' "$1"`, "-", s.plan.Copy[0].To}, Env: []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}})
		require.NoError(t, err)
		s.write("root/.stateward-copied", string(r.Stdout))
	}
	want := end(func(*site) {})
	require.Len(t, want, 4)
	for name, arrange := range map[string]func(*site){
		"while it copied":            func(s *site) { s.write("root/d.stateward-copy/half", "1") },
		"before it was written down": func(s *site) { s.write("root/d.stateward-ready/a", "1"); s.write("root/d.stateward-ready/b/c", "2") },
		"before it was renamed": func(s *site) {
			s.write("root/d.stateward-ready/a", "1")
			s.write("root/d.stateward-ready/b/c", "2")
			journal(s)
		},
		"while it was merged": func(s *site) {
			s.write("root/d.stateward-ready/b/c", "2")
			s.write("root/d/a", "1")
			journal(s)
		},
	} {
		require.Empty(t, cmp.Diff(want, end(arrange)), name)
	}
}

// The commands that are printed do what the script does.
func TestP8CommandsByHand(t *testing.T) {
	s := newSite(t)
	s.write("live/it's/x", "1")
	require.NoError(t, os.Chmod(filepath.Join(s.dir, "live/it's"), 0o700))
	p, err := copyPlan(aggregate.Copy{From: mustPath(t, filepath.Join(s.dir, "live/it's")), To: mustPath(t, filepath.Join(s.dir, "root/it's"))})
	require.NoError(t, err)
	text := strings.Join(p.byHand(), "\n")
	r, err := runner.Run(context.Background(), runner.Cmd{Path: "bash", Args: []string{"-euc", text}, Env: []string{"PATH=" + os.Getenv("PATH")}})
	require.NoError(t, err, "%s", r.Stderr)
	require.Empty(t, cmp.Diff(s.tree("live"), s.tree("root")))
	require.True(t, slices.ContainsFunc(p.Commands, func(c string) bool { return strings.Contains(c, "cp -a --reflink=auto -- ") }))
}

func mustPath(t *testing.T, s string) stateward.AbsPath {
	t.Helper()
	p, err := stateward.ParsePath(s)
	require.NoError(t, err)
	return p
}
