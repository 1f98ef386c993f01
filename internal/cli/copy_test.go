package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

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
	// What a unit does is written down. All are active until they are stopped.
	s.write("bin/systemctl", `#!/bin/sh
cd "$(dirname "$0")"
echo "$@" >> calls
case $1 in
  stop) touch "stopped$3" ;;
  is-active) if [ -e "stopped$3" ] && ! [ -e restarts ]; then echo inactive; exit 3; fi; echo active ;;
esac
`)
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
	active := "is-active -- a-\\x2d.service\n"
	require.Equal(t, active+"stop -- a-\\x2d.service\n"+strings.Repeat(active, 3), string(calls), "not for what is not there, and again after the copy")

	t.Run("nothing is done the second time", func(t *testing.T) {
		require.NoError(t, os.Remove(filepath.Join(s.dir, "bin/calls")))
		text, ok := s.run()
		require.True(t, ok, text)
		require.Contains(t, text, "copied before:")
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
		r, err := runner.Run(context.Background(), runner.Cmd{Path: "bash", Args: []string{"-c", `printf '%s %q\n' "$(date +%s.%N)" "$1"`, "-", s.plan.Copy[0].To}, Env: []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}})
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

// What was copied and is not like it any more is neither taken for copied nor copied over.
func TestP8CopyScriptTwice(t *testing.T) {
	for _, tc := range []struct {
		name, want string // want is what it says where it fails
		arrange    func(*site)
	}{
		{"unchanged", "", func(*site) {}},
		{"read", "", func(s *site) {
			_, err := os.ReadFile(filepath.Join(s.dir, "live/x/f"))
			require.NoError(s.t, err)
		}},
		{"written in the root only", "", func(s *site) { s.write("root/x/f", "newer") }},
		{"gone, as after a wipe", "", func(s *site) { require.NoError(s.t, os.RemoveAll(filepath.Join(s.dir, "live/x"))) }},
		{"linked into the root and written", "", func(s *site) {
			require.NoError(s.t, os.RemoveAll(filepath.Join(s.dir, "live/x")))
			require.NoError(s.t, os.Symlink(filepath.Join(s.dir, "root/x"), filepath.Join(s.dir, "live/x")))
			s.write("live/x/f", "newer")
		}},
		{"written where it is kept", "", func(s *site) { s.write("live/x/keep/new", "newer") }},
		{"changed", "live/x/f has changed since", func(s *site) { s.write("live/x/f", "newer") }},
		{"added below", "live/x/sub has changed since", func(s *site) { s.write("live/x/sub/g", "new") }},
		{"removed", "live/x has changed since", func(s *site) { require.NoError(s.t, os.Remove(filepath.Join(s.dir, "live/x/f"))) }},
		{"closed", "live/x/f has changed since", func(s *site) { require.NoError(s.t, os.Chmod(filepath.Join(s.dir, "live/x/f"), 0o600)) }},
		{"a changed file", "live/file has changed since", func(s *site) { s.write("live/file", "newer") }},
		{"the copy is gone", "root/x was copied on ", func(s *site) { require.NoError(s.t, os.RemoveAll(filepath.Join(s.dir, "root/x"))) }},
		{"the copy is gone, and what was copied", "gone or empty now", func(s *site) {
			require.NoError(s.t, os.RemoveAll(filepath.Join(s.dir, "root/x")))
			require.NoError(s.t, os.RemoveAll(filepath.Join(s.dir, "live/x")))
		}},
		{"the copy is empty", "gone or empty now", func(s *site) {
			require.NoError(s.t, os.RemoveAll(filepath.Join(s.dir, "root/x")))
			require.NoError(s.t, os.Mkdir(filepath.Join(s.dir, "root/x"), 0o755))
		}},
		{"the copied file is empty", "take line 2 out of ", func(s *site) { s.write("root/file", "") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSite(t)
			s.write("live/x/f", "old")
			s.write("live/x/sub/e", "old")
			s.write("live/x/keep/new", "old")
			s.write("root/x/keep/new", "old")
			s.write("live/file", "old")
			require.NoError(t, os.Mkdir(filepath.Join(s.dir, "live/nothing"), 0o755))
			s.add("directory", "x", "x/keep")
			s.add("file", "file")
			s.add("directory", "nothing")
			text, ok := s.run()
			require.True(t, ok, text)
			tc.arrange(s)
			want := s.tree("root")
			text, ok = s.run()
			require.Equal(t, tc.want == "", ok, text)
			require.Contains(t, text, tc.want)
			require.NotContains(t, text, "copying:")
			require.Empty(t, cmp.Diff(want, s.tree("root")))
		})
	}
	t.Run("done as it says, it copies again", func(t *testing.T) {
		s := newSite(t)
		s.write("live/x /f", "old")
		s.add("directory", "x ")
		text, ok := s.run()
		require.True(t, ok, text)
		s.write("live/x /f", "newer")
		require.NoError(t, os.RemoveAll(filepath.Join(s.dir, "root/x ")))
		require.NoError(t, os.Remove(filepath.Join(s.dir, "root/.stateward-copied")))
		text, ok = s.run()
		require.True(t, ok, text)
		require.Empty(t, cmp.Diff(s.tree("live"), s.tree("root")))
	})
	t.Run("changed since a run was interrupted", func(t *testing.T) {
		s := newSite(t)
		s.write("live/x/f", "old")
		s.write("root/x.stateward-ready/f", "old")
		s.add("directory", "x")
		time.Sleep(20 * time.Millisecond) // a kernel's clock of files ticks 100 times a second
		s.write("live/x/f", "newer")
		text, ok := s.run()
		require.False(t, ok, text)
		require.Contains(t, text, "live/x/f has changed since")
	})
}

func TestP8CopyScriptOfAStartedUnit(t *testing.T) {
	s := newSite(t)
	s.write("live/x/f", "1")
	s.write("bin/restarts", "")
	s.add("directory", "x")
	text, ok := s.run()
	require.False(t, ok, text)
	require.Contains(t, text, "was started while")
	require.NoDirExists(t, filepath.Join(s.dir, "root/x"))
	require.NoFileExists(t, filepath.Join(s.dir, "root/.stateward-copied"))
	require.NoError(t, os.Remove(filepath.Join(s.dir, "bin/restarts")))
	text, ok = s.run()
	require.True(t, ok, text)
	require.Empty(t, cmp.Diff(s.tree("live"), s.tree("root")))
}

// A directory with a device of its own is a file system that is mounted there, or a Btrfs subvolume: a tmpfs that the
// table of mounts does not name stands for the latter.
func TestP8CopyScriptOtherDevices(t *testing.T) {
	inNamespace := func(s *site, script string) (string, bool) {
		r, err := runner.Run(context.Background(), runner.Cmd{Path: "unshare", Args: []string{"-rm", "bash", "-euc", script}, Dir: s.dir, Env: []string{
			"PATH=" + filepath.Join(s.dir, "bin") + ":" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}})
		return string(r.Stdout) + string(r.Stderr), err == nil
	}
	const mount = "mount -t tmpfs -o mode=755 none 'live/x/in ner'; mkdir -p 'live/x/in ner/most'; echo 2 > 'live/x/in ner/g';" +
		"mount -t tmpfs -o mode=755 none 'live/x/in ner/most'; echo 3 > 'live/x/in ner/most/h'; mount -t tmpfs -o mode=755 none live/x/keep; echo 4 > live/x/keep/k;"
	for _, tc := range []struct {
		name, script string
		want         string // what it says where it fails
		root         []string
	}{
		{"mounts", "bash script", "live/x/in ner is mounted below ", nil},
		{"mounts that are left out", "STATEWARD_LEAVE_MOUNTS=1 bash script", "", []string{`drwxr-xr-x "x"`, `-rw-r--r-- "x/f" 1`, `drwxr-xr-x "x/in ner"`, `drwxr-xr-x "x/keep"`, `-rw-r--r-- "x/keep/k" kept`}},
		{"subvolumes", ": > none; STATEWARD_MOUNTINFO=none bash script", "", []string{`drwxr-xr-x "x"`, `-rw-r--r-- "x/f" 1`, `drwxr-xr-x "x/in ner"`,
			"-rw-r--r-- \"x/in ner/g\" 2\n", `drwxr-xr-x "x/in ner/most"`, "-rw-r--r-- \"x/in ner/most/h\" 3\n", `drwxr-xr-x "x/keep"`, `-rw-r--r-- "x/keep/k" kept`}},
		{"a mount in a subvolume", `grep most /proc/self/mountinfo > some; STATEWARD_MOUNTINFO=some bash script`, "live/x/in ner/most is mounted below ", nil},
		{"a second run", ": > none; export STATEWARD_MOUNTINFO=none; bash script >/dev/null; bash script; echo 5 > 'live/x/in ner/most/h'; bash script", "live/x/in ner/most/h has changed since", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSite(t)
			s.write("live/x/f", "1")
			for _, d := range []string{"live/x/in ner", "live/x/keep"} {
				require.NoError(t, os.Mkdir(filepath.Join(s.dir, d), 0o755))
			}
			s.write("root/x/keep/k", "kept")
			s.add("directory", "x", "x/keep")
			script, err := copyShell(s.plan)
			require.NoError(t, err)
			s.write("script", script)
			if text, ok := inNamespace(s, mount); !ok {
				t.Logf("nothing can be mounted here, so this is not tried: %s", text)
				return
			}
			text, ok := inNamespace(s, mount+tc.script)
			require.Equal(t, tc.want == "", ok, text)
			require.Contains(t, text, tc.want)
			if tc.root != nil {
				require.Empty(t, cmp.Diff(tc.root, s.tree("root")), text)
			}
			require.Equal(t, strings.Contains(tc.name, "left out"), strings.Contains(text, "\nleft out:"), text)
		})
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

	t.Run("one recipe", func(t *testing.T) {
		for _, text := range []string{copyScript, text} {
			copies := regexp.MustCompile(`\bcp -.*? -- `).FindAllString(text, -1)
			require.NotEmpty(t, copies)
			for _, c := range copies {
				require.Regexp(t, "^cp -ax --reflink=auto (--parents )?-- ", c)
			}
		}
	})
	t.Run("P3 the directories above are like those that are live", func(t *testing.T) {
		live, root := filepath.Join(s.dir, "live"), filepath.Join(s.dir, "persist")
		s.write("live/home/ada/.local/x y/f", "1")
		require.NoError(t, os.Chmod(filepath.Join(live, "home/ada"), 0o700))
		require.NoError(t, os.Chmod(filepath.Join(live, "home/ada/.local"), 0o750))
		from := filepath.Join(live, "home/ada/.local/x y")
		require.NoError(t, os.MkdirAll(root, 0o755))
		line := aggregate.CopyCommand(mustPath(t, from), mustPath(t, root+from))
		r, err := runner.Run(context.Background(), runner.Cmd{Path: "bash", Args: []string{"-euc", line}, Env: []string{"PATH=" + os.Getenv("PATH")}})
		require.NoError(t, err, "%s: %s", line, r.Stderr)
		rel, err := filepath.Rel(s.dir, root+live)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(s.tree("live"), append(s.tree(rel), s.tree("live")[5:]...)), line)
	})
}

func mustPath(t *testing.T, s string) stateward.AbsPath {
	t.Helper()
	p, err := stateward.ParsePath(s)
	require.NoError(t, err)
	return p
}
