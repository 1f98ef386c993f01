package dataset_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"mvdan.cc/sh/v3/syntax"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/run"
)

func given(t require.TestingT, property, value string) dataset.Setting {
	s, err := dataset.ParseSetting(property, value, dataset.Filesystem)
	require.NoError(t, err)
	return s
}

func script(t require.TestingT, list ...dataset.Wanted) string {
	text, err := dataset.Script(dataset.WithContainers(list...), "forge\nrm -rf /")
	require.NoError(t, err)
	return text
}

// hostile are texts that break out of a script where they are not quoted (D6).
var hostile = []string{
	"a b", "$(touch pwned)", "`touch pwned`", "'; touch pwned; '", `"; touch pwned; "`, `\`, `a\'b`, "*", "~", "#", "a;b&c|d", "größe", "-rf", "--", "${x}", "!x", "{a,b}", "=", "%s",
}

func TestScriptDeclares(t *testing.T) {
	sonarr := dataset.Wanted{Name: dataset.MustName("tank/services/sonarr"), Role: dataset.Service, Owner: stateward.MustOwner("sonarr"), Group: stateward.MustOwner("media"),
		Settings: []dataset.Setting{given(t, "casesensitivity", "sensitive"), given(t, "com.example:note", "it's $(id)"), given(t, "mountpoint", "/var/lib/sonarr"), given(t, "quota", "none"), given(t, "recordsize", "16K")},
		Inherit:  []string{"compression"}}
	sonarr.Mode, _ = stateward.ParseMode("750")
	theirs := dataset.Wanted{Name: dataset.MustName("rpool/root"), Role: dataset.Foreign, Settings: []dataset.Setting{given(t, "mountpoint", "/")}}
	head, _, _ := strings.Cut(script(t, sonarr, theirs), "\n\n")
	require.Empty(t, cmp.Diff(`#!/usr/bin/env bash
# Written by stateward for the datasets of forge rm -rf /. A second run changes nothing.
pools=(rpool tank)
mount_properties='mountpoint canmount sharenfs sharesmb zoned'
not_inherited='canmount quota'
# shellcheck disable=SC1003,SC1111,SC1112,SC2016,SC2088 # no value is meant to be expanded
declared() {
  dataset foreign rpool/root
  dataset container tank/services
  property canmount off
  property mountpoint none
  dataset own tank/services/sonarr sonarr media 0750
  at_creation casesensitivity sensitive
  property com.example:note "it's \$(id)"
  property mountpoint /var/lib/sonarr
  property quota none 0
  property recordsize 16K 16384
  inherits compression
}`, head))

	head, _, _ = strings.Cut(script(t, theirs), "\n\n")
	require.NotContains(t, head, "rpool", "what is another's alone needs no script")
}

func TestScriptDestroysNothing(t *testing.T) {
	text := script(t, everything(t)...)
	var code []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			code = append(code, line)
		}
	}
	for _, word := range []string{`destroy`, `rollback`, `receive`, `rename`, `unmount`, `umount`, `rm`, `rmdir`, `mv`, `--?[a-zA-Z]*[RF]`, `--recursive`, `--force`, `zfs [a-z]+ [^|&;]*-[a-zA-Z]*f`, `(chown|chmod|inherit|set) -[a-z]*r`} {
		re := regexp.MustCompile(`(^|[\s"'(;&|])` + word + `($|[\s"');&|])`)
		for _, line := range code {
			require.NotRegexp(t, re, line)
		}
	}
}

// everything is a script's worth of datasets, hostile values among them.
func everything(t require.TestingT) []dataset.Wanted {
	var list []dataset.Wanted
	for i, text := range hostile {
		name := dataset.MustName("tank/x" + string(rune('a'+i)))
		list = append(list, dataset.Wanted{Name: name, Role: dataset.Utility, Settings: []dataset.Setting{
			given(t, "com.example:note", text), given(t, "mountpoint", "/srv/"+text), given(t, "recordsize", "1M"),
		}})
	}
	return list
}

func TestScriptIsCleanForShellcheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(file, []byte(script(t, everything(t)...)), 0o600))
	shellcheck(t, file)

	_, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script(t, everything(t)...)), "script")
	require.NoError(t, err)
}

func shellcheck(t *testing.T, file string) {
	r, err := run.Run(context.Background(), run.Cmd{Path: "shellcheck", Args: []string{"--severity=style", "--", file}, Env: []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}})
	require.NoError(t, err, "%s%s\n(scripts/deps.sh --versions installs it)", r.Stdout, r.Stderr)
}

// fakeZFS has a zfs that writes down how it is called, and has only pools, or all that is asked for.
type fakeZFS struct{ dir string }

func newFakeZFS(t require.TestingT, dir string) fakeZFS {
	m := fakeZFS{dir}
	// The text of each call is in a line, its arguments as bash quotes them.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "zfs"), []byte(`#!/usr/bin/env bash
cd "$(dirname "$0")" || exit 9
printf '%s\0' "$#" "$@" >>calls
case $1 in
  list) cat there ;;
  get) awk -F '\t' -v asked=",$6," '$1 !~ /^tank/ || index(asked, "," $2 ",")' got ;;
  version) cat version 2>/dev/null || printf 'zfs-2.3.9\n' ;;
  create) while [ $# -gt 1 ]; do shift; done; printf '%s\n' "$1" >>there ;;
esac
`), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "zpool"), []byte("#!/bin/sh\n! [ -f \"${0%/*}/pools\" ] || cat \"${0%/*}/pools\"\n"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mountinfo"), []byte("22 1 0:5 / / rw - ext4 /dev/a rw\n"), 0o600))
	return m
}

// version makes it say that it is of another version.
func (m fakeZFS) version(t require.TestingT, text string) {
	require.NoError(t, os.WriteFile(filepath.Join(m.dir, "version"), []byte(text+"\n"), 0o600))
}

// run runs a script with a pool that has these datasets, and these lines of `zfs get`. It returns the calls of zfs.
func (m fakeZFS) run(t require.TestingT, text, there, got string) (calls [][]string, output string, err error) {
	for name, content := range map[string]string{"script": text, "there": there, "got": got, "calls": ""} {
		require.NoError(t, os.WriteFile(filepath.Join(m.dir, name), []byte(content), 0o600))
	}
	r, err := run.Run(context.Background(), run.Cmd{Path: "bash", Args: []string{filepath.Join(m.dir, "script")}, Dir: m.dir, Env: []string{
		"PATH=" + m.dir + ":/usr/bin:/bin", "STATEWARD_UNPRIVILEGED=1", "STATEWARD_LOCK=" + filepath.Join(m.dir, "run", "lock"), "STATEWARD_MOUNTINFO=" + filepath.Join(m.dir, "mountinfo"),
	}})
	b, readErr := os.ReadFile(filepath.Join(m.dir, "calls"))
	require.NoError(t, readErr)
	fields := strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
	for i := 0; i < len(fields) && fields[i] != ""; {
		n := 0
		for _, c := range fields[i] {
			n = n*10 + int(c-'0')
		}
		calls = append(calls, fields[i+1:i+1+n])
		i += n + 1
	}
	return calls, string(r.Stdout) + string(r.Stderr), err
}

// gets are the lines that `zfs get -Hp` prints of datasets that are as they are wanted, apart from where they are mounted.
func gets(list ...dataset.Wanted) string {
	var b strings.Builder
	for _, w := range dataset.WithContainers(list...).Datasets {
		name := w.Name.String()
		seen := map[string]bool{}
		for _, s := range w.Settings {
			seen[s.Name()] = true
			b.WriteString(name + "\t" + s.Name() + "\t" + s.Value() + "\tlocal\n")
		}
		for _, p := range [][2]string{{"type", "filesystem"}, {"canmount", "on"}, {"mountpoint", "none"}, {"zoned", "off"}, {"recordsize", "131072"}, {"com.example:note", "-"}, {"casesensitivity", "sensitive"}} {
			if !seen[p[0]] {
				b.WriteString(name + "\t" + p[0] + "\t" + p[1] + "\t-\n")
			}
		}
	}
	return b.String()
}

// D3, D6
func TestScriptCreatesWithAllPropertiesAtOnceAndIntact(t *testing.T) {
	m := newFakeZFS(t, t.TempDir())
	var values []string
	for _, v := range hostile {
		values = append(values, v, "x"+v+"\u00a0y")
	}
	m.survive(t, values)
}

func FuzzExecScriptValue(f *testing.F) {
	f.Add("it's $(id)")
	f.Add("\t\n")
	m := newFakeZFS(f, f.TempDir())
	f.Fuzz(func(t *testing.T, value string) {
		if _, err := dataset.ParseSetting("com.example:note", value, dataset.Filesystem); err == nil {
			m.survive(t, []string{value})
		}
	})
}

// survive has values come to zfs as they are, in a run that makes datasets, and none in one that finds them.
func (m fakeZFS) survive(t *testing.T, values []string) {
	t.Helper()
	var list []dataset.Wanted
	want := [][]string{{"list", "-H", "-o", "name,canmount,mountpoint", "-t", "filesystem,volume", "-r", "--", "tank"}}
	there := "tank\n"
	for i, v := range values {
		name := fmt.Sprintf("tank/%03d", i)
		there += name + "\n"
		list = append(list, dataset.Wanted{Name: dataset.MustName(name), Role: dataset.Utility,
			Settings: []dataset.Setting{given(t, "com.example:note", v), given(t, "mountpoint", "none"), given(t, "recordsize", "16K")}})
		want = append(want, []string{"create", "-u", "-o", "com.example:note=" + v, "-o", "mountpoint=none", "-o", "recordsize=16K", "--", name})
	}
	calls, output, err := m.run(t, script(t, list...), "tank\n", gets(list...))
	require.NoError(t, err, output)
	require.Len(t, calls, len(values)+2)
	require.Empty(t, cmp.Diff(want, calls[:len(calls)-1]))
	require.Equal(t, "get", calls[len(calls)-1][0])
	require.NoFileExists(t, filepath.Join(m.dir, "pwned"))

	calls, output, err = m.run(t, script(t, list...), there, gets(list...))
	require.NoError(t, err, output)
	require.Len(t, calls, 2, "all is as it is wanted: a list and a get")
	require.Empty(t, output)
}

func TestScriptRefuses(t *testing.T) {
	below := filepath.Join(t.TempDir(), "a", "b")
	w := func(name string, settings ...dataset.Setting) dataset.Wanted {
		return dataset.Wanted{Name: dataset.MustName(name), Role: dataset.Utility, Settings: settings}
	}
	none := given(t, "mountpoint", "none")
	note := w("tank/a", given(t, "com.example:note", "x"), none)
	for _, test := range []struct {
		name       string
		list       []dataset.Wanted
		there, got string
		say        string
	}{
		{"a pool that is not imported", []dataset.Wanted{w("tank/a", none)}, "", "", "tank/a: pool tank is not imported"},
		{"a parent that another has not made", []dataset.Wanted{{Name: dataset.MustName("tank/theirs"), Role: dataset.Foreign}, w("tank/theirs/a", none)}, "tank\n", gets(),
			"tank/theirs/a: lies in tank/theirs, which is not there"},
		{"D3: a property that is only set at creation", []dataset.Wanted{w("tank/a", given(t, "casesensitivity", "mixed"), none)}, "tank\ntank/a\n", gets(w("tank/a", none)),
			"tank/a: casesensitivity is sensitive and cannot become mixed"},
		{"a property that zfs did not print", []dataset.Wanted{w("tank/a", none)}, "tank\ntank/a\n", "", "property type of tank/a was not printed"},
		{"a value that forges a line", []dataset.Wanted{note}, "tank\ntank/a\n", gets(note) + "tank/a\tcom.example:note\tx\tlocal\n", "property com.example:note of tank/a was printed twice"},
		{"a value that zfs did not take", []dataset.Wanted{note}, "tank\ntank/a\n", gets(w("tank/a", none)), "com.example:note was set to x, and zfs prints '-'"},
		{"D1: a dataset that is not mounted in the end", []dataset.Wanted{w("tank/a", given(t, "mountpoint", below))}, "tank\ntank/a\n",
			gets(w("tank/a", given(t, "mountpoint", below))), "tank/a: is not mounted at "},
		{"P5: where the next boot mounts another", []dataset.Wanted{w("tank/a", given(t, "mountpoint", below))}, "tank\ntank/old\ton\t" + below + "\n", gets(),
			"tank/a: is to be mounted at " + below + ", and so is tank/old"},
		{"P5: beneath one that nobody declared and that is not mounted", []dataset.Wanted{w("tank/a", given(t, "mountpoint", below))}, "tank\ntank/outer\ton\t" + filepath.Dir(below) + "\n", gets(),
			"where tank/outer belongs and is not mounted: it would hide it"},
		{"P5: beneath one that is mounted by hand", []dataset.Wanted{w("tank/a", given(t, "mountpoint", below)), w("tank/outer", given(t, "mountpoint", filepath.Dir(below)), given(t, "canmount", "noauto"))},
			"tank\n", gets(), "where tank/outer belongs and is not mounted: it would hide it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newFakeZFS(t, t.TempDir())
			_, output, err := m.run(t, script(t, test.list...), test.there, test.got)
			require.Error(t, err, output)
			require.Contains(t, output, test.say)
		})
	}
}

// S4: a replica that has the mountpoint of what is mounted: the next boot decides which of them is seen.
func TestScriptTellsOfAReplicaOverWhatIsMounted(t *testing.T) {
	m := newFakeZFS(t, t.TempDir())
	at := t.TempDir()
	want := dataset.Wanted{Name: dataset.MustName("tank/a"), Role: dataset.Utility, Settings: []dataset.Setting{given(t, "mountpoint", at)}}
	require.NoError(t, os.WriteFile(filepath.Join(m.dir, "mountinfo"), []byte("22 1 0:5 / / rw - ext4 /dev/a rw\n23 22 0:5 / "+at+" rw - zfs tank/a rw\n"), 0o600))
	there := "tank\ntank/a\ton\t" + at + "\ntank/replica\ton\t" + at + "\n"
	_, output, err := m.run(t, script(t, want), there, gets(want))
	require.Error(t, err, output)
	require.Contains(t, output, "tank/a: is mounted at "+at+", and tank/replica has the same mountpoint: the next boot may mount it over this one")
}

// What does not answer, or is imported for another system, is not asked and not written to; the others are done.
func TestScriptLeavesPoolsThatAreNotForHere(t *testing.T) {
	for _, test := range []struct{ name, line, say string }{
		{"suspended", "tank\tSUSPENDED\t-", "stateward: tank/a: pool tank is SUSPENDED"},
		{"below another root", "tank\tONLINE\t/mnt", "stateward: tank/a: pool tank is imported below /mnt"},
		{"below one with a blank", "tank\tDEGRADED\t/mnt b", "stateward: tank/a: pool tank is imported below /mnt b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newFakeZFS(t, t.TempDir())
			require.NoError(t, os.WriteFile(filepath.Join(m.dir, "pools"), []byte(test.line+"\nother\tONLINE\t-\n"), 0o600))
			a, none := dataset.MustName("tank/a"), "none"
			in, err := dataset.At(a, none)
			require.NoError(t, err)
			calls, output, err := m.run(t, script(t, in), "", "")
			require.Error(t, err, output)
			require.Contains(t, output, test.say)
			require.Empty(t, calls)

			out, err := dataset.At(dataset.MustName("other/b"), none)
			require.NoError(t, err)
			calls, output, err = m.run(t, script(t, in, out), "other\n", gets(out))
			require.Error(t, err, output)
			require.Contains(t, output, test.say)
			require.Contains(t, output, "create other/b")
			for _, call := range calls {
				require.NotContains(t, strings.Join(call, " "), "tank")
			}
		})
	}
}

// What fileSystems mounts is no dataset, and counts all the same.
func TestScriptMountsNothingBeneathAFileSystem(t *testing.T) {
	above, _ := stateward.ParsePath(filepath.Join(t.TempDir(), "disk"))
	desired := dataset.WithContainers(dataset.Wanted{Name: dataset.MustName("tank/a"), Settings: []dataset.Setting{given(t, "mountpoint", above.String()+"/a")}})
	desired.Claims = []dataset.Claim{{Path: stateward.Root, By: "the root"}, {Path: above, By: `fileSystems."disk"`}}
	text, err := dataset.Script(desired, "forge")
	require.NoError(t, err)
	require.NotContains(t, text, "the root")
	_, output, err := newFakeZFS(t, t.TempDir()).run(t, text, "tank\n", "")
	require.Error(t, err)
	require.Contains(t, output, `where fileSystems."disk" belongs and is not mounted: it would hide it`)
	require.NotContains(t, output, "create tank/a")
}

// OpenZFS 2.2 prints xattr=sa as it is, and calls "on" what 2.3 calls "dir".
func TestScriptKnowsTheXattrOfOlderZFS(t *testing.T) {
	want := dataset.Wanted{Name: dataset.MustName("tank/a"), Role: dataset.Utility, Settings: []dataset.Setting{given(t, "mountpoint", "none"), given(t, "xattr", "sa")}}
	for _, test := range []struct {
		version, has string
		sets         bool
	}{{"zfs-2.2.6-1", "sa", false}, {"zfs-2.2.6-1", "on", true}, {"zfs-2.3.9-1", "on", false}, {"zfs-2.3.9-1", "dir", true}} {
		t.Run(test.version+" has "+test.has, func(t *testing.T) {
			m := newFakeZFS(t, t.TempDir())
			m.version(t, test.version)
			got := strings.Replace(gets(want), "tank/a\txattr\ton\t", "tank/a\txattr\t"+test.has+"\t", 1)
			calls, output, err := m.run(t, script(t, want), "tank\ntank/a\n", got)
			sets := slices.ContainsFunc(calls, func(c []string) bool { return c[0] == "set" && slices.Contains(c, "xattr=sa") })
			require.Equal(t, test.sets, sets, output)
			if !test.sets {
				require.NoError(t, err, output)
			}
		})
	}
}

func TestScriptNeedsItsTools(t *testing.T) {
	m := newFakeZFS(t, t.TempDir())
	require.NoError(t, os.Remove(filepath.Join(m.dir, "zfs")))
	_, output, err := m.run(t, script(t, everything(t)...), "", "")
	require.Error(t, err)
	require.Contains(t, output, "there is no zfs in PATH")
}

func TestScriptIsDeterministic(t *testing.T) {
	require.Equal(t, script(t, everything(t)...), script(t, everything(t)...))
}
