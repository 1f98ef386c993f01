package nixos

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTmpfilesLine(t *testing.T) {
	for in, want := range map[string]tmpfilesLine{
		"d /a":                              {kind: "d", path: "/a"},
		"  d\t/a  0750 u g 10d  ":           {kind: "d", path: "/a", mode: "0750", user: "u", group: "g", age: "10d"},
		"d /a - - - - -":                    {kind: "d", path: "/a"},
		"d /a - - - - some  text":           {kind: "d", path: "/a", argument: "some  text", given: true},
		`'d' '/a b' '-' '-' '-' '-' `:       {kind: "d", path: "/a b"},
		`L+ "/a" - - - - /p/a b`:            {kind: "L+", path: "/a", argument: "/p/a b", given: true},
		`L /a - - - - ../x\x20y%%z`:         {kind: "L", path: "/a", argument: "../x y%z", given: true},
		`f /a - - - - "q"\n%S`:              {kind: "f", path: "/a", argument: "\"q\"\n/var/lib", given: true},
		`d! /a\x20b`:                        {kind: "d!", path: "/a b"},
		`d %S/a%%b%-c%`:                     {kind: "d", path: "/var/lib/a%b%-c%"},
		`d %h/%u-%U`:                        {kind: "d", path: "/root/root-0"},
		`d /a/%m`:                           {kind: "d", path: "/a/%m", unresolved: true},
		`L /a - - - - /b/%H`:                {kind: "L", path: "/a", argument: "/b/%H", given: true, unresolved: true},
		`C /a - - - - /b/%H`:                {kind: "C", path: "/a", argument: "/b/%H", given: true},
		`x /a/* - - - - ignored \q %q`:      {kind: "x", path: "/a/*", argument: `ignored \q %q`, given: true},
		`f^ /a - - - - name\q`:              {kind: "f^", path: "/a", argument: `name\q`, given: true},
		`Q-=$? /a ~0755 :u :g ~1d`:          {kind: "Q-=$?", path: "/a", mode: "~0755", user: ":u", group: ":g", age: "~1d"},
		"d /a/../b//c/":                     {kind: "d", path: "/a/../b//c/"},
		`d /a"b c"'d'`:                      {kind: "d", path: "/ab cd"},
		"L /a 0755 root root - /b/\xc3\xa4": {kind: "L", path: "/a", mode: "0755", user: "root", group: "root", argument: "/b/ä", given: true},
	} {
		got, there, err := parseTmpfilesLine(in)
		require.NoError(t, err, in)
		require.True(t, there, in)
		if d := cmp.Diff(want, got, cmp.AllowUnexported(tmpfilesLine{})); d != "" {
			t.Errorf("%q: want -, got +\n%s", in, d)
		}
	}
	for _, in := range []string{"", "  ", "# d /a", "\t#"} {
		_, there, err := parseTmpfilesLine(in)
		require.NoError(t, err, in)
		require.False(t, there, in)
	}
	for _, in := range refusedLines {
		_, _, err := parseTmpfilesLine(in)
		require.Error(t, err, in)
	}
}

var refusedLines = []string{
	"d", "d a", "d ''", "d 'a", `d "/a`, `d /a\`, `d /a\q`, `d /a\x00`, "q! a", "y /a", "d& /a", "d!! /a", "'' /a", "d /%q", "d /%1", `L /a - - - - \q`, `L /a - - - - %q`,
}

// What systemd-tmpfiles makes of a line is what was read of it. Version 252 takes a backslash in the first fields for a
// quote; later ones, which NixOS has, for the beginning of an escape.
func TestTmpfilesLineAgainstSystemd(t *testing.T) {
	texts := []string{
		"d /a", "  d\t/a  0750  ", "d /a/b//c/ 0755 - - 10d", `d '/a b'`, `d! /a`, `d /a"b c"'d'e`, `d "/it's" -`,
		"L /l - - - - /t/x", "L+ /l - - - - ../t/x  y", `L /l - - - - a\x20b`, `L /l - - - - "a b"`, `L /l - - - - 'x\ty'`, "L /l 0755 - - - x%%y", "d /%%a%-b%",
		"# d /a", " \t", "d /a - - - - -", "d /a - - - - x", `L /l - - - - x\`, "v /a", "d=- /a",
	}
	for _, in := range append(texts, refusedLines...) {
		if before, _, _ := strings.Cut(in, "- - - -"); strings.Contains(before, `\`) {
			continue
		}
		root, conf := t.TempDir(), filepath.Join(t.TempDir(), "t.conf")
		require.NoError(t, os.WriteFile(conf, []byte(in+"\n"), 0o600))
		var stderr bytes.Buffer
		cmd := exec.Command("systemd-tmpfiles", "--create", "--boot", "--root="+root, conf)
		cmd.Stderr = &stderr
		runErr := cmd.Run()
		require.NotErrorIs(t, runErr, exec.ErrNotFound, "systemd-tmpfiles is needed to compare with; run: make deps")

		want := ""
		l, there, err := parseTmpfilesLine(in)
		require.Equal(t, err != nil, runErr != nil, "%q: %v %v %s", in, err, runErr, stderr.String())
		if there && err == nil {
			want = path.Clean(l.path)
			if l.kind[0] == 'L' {
				want += " -> " + l.argument
			}
		}
		require.Equal(t, want, madeIn(t, root), "%q: %s", in, stderr.String())
	}
}

// madeIn shows the innermost thing in a directory.
func madeIn(t *testing.T, root string) string {
	made := ""
	require.NoError(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		made = strings.TrimPrefix(p, root)
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(p)
			made += " -> " + target
			return err
		}
		return nil
	}))
	return made
}

// Any text in quotes is one path, whatever stands around it.
func TestTmpfilesQuoted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringMatching(`/[a-z "#;,:-]{1,12}`).Draw(t, "path")
		blank := rapid.SampledFrom([]string{" ", "\t", "   "})
		l, there, err := parseTmpfilesLine(blank.Draw(t, "before") + "d" + blank.Draw(t, "between") + "'" + p + "'" + blank.Draw(t, "after"))
		require.NoError(t, err)
		require.True(t, there)
		require.Equal(t, p, l.path)
	})
}

func FuzzTmpfilesLine(f *testing.F) {
	for _, s := range append([]string{`d /a 0755 u g 1d`, `L+ '/a b' - - - - ../c\x20d`, `C %S/x`, `# x`, `f^~ /a - - - - %%`}, refusedLines...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, there, err := parseTmpfilesLine(text)
		if err != nil || !there {
			return
		}
		if !strings.HasPrefix(l.path, "/") || l.kind == "" {
			t.Errorf("%q is read as %+v", text, l)
		}
		again, _, err := parseTmpfilesLine("  " + text + "\t\n")
		if d := cmp.Diff(l, again, cmp.AllowUnexported(tmpfilesLine{})); err != nil || d != "" {
			t.Errorf("%q means something else between blanks: %v %s", text, err, d)
		}
	})
}
