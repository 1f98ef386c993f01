package nixbridge_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nix-community/go-nix/pkg/nar"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/run"
	"github.com/stateward/stateward/nixbridge"
)

// folder writes files into a new folder.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return dir
}

func git(t testing.TB, dir string, args ...string) {
	t.Helper()
	r, err := run.Run(t.Context(), run.Cmd{
		Path: "git", Args: append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@t"}, args...),
		Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir},
	})
	require.NoError(t, err, string(r.Stderr))
}

const twoHosts = `{
  outputs = { self }: {
    packages.x86_64-linux = throw "packages are broken";
    legacyPackages.x86_64-linux = throw "legacyPackages are broken";
    nixosConfigurations = {
      forge.config = { test.a.text = "forge"; tree.path = ./secret.txt; tree.bad = import ./bad.nix; };
      attic = import ./attic.nix;
      "my.host\"".config = { test.a.text = self.nixosConfigurations.forge.config.test.a.text; };
    };
  };
}
`

func twoHostsFlake(t testing.TB) string {
	return folder(t, map[string]string{
		"flake.nix": twoHosts, "attic.nix": "{\n  config =\n    { }.nope;\n}\n", "bad.nix": "\nthrow \"bad.nix is bad\"\n", "secret.txt": "secret",
	})
}

func byName(ev *nixbridge.Evaluation) map[string]*nixbridge.HostEvaluation {
	m := map[string]*nixbridge.HostEvaluation{}
	for _, h := range ev.Hosts {
		m[h.Name] = h
	}
	return m
}

func TestOneHostsFailureHidesNoOther(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		dir := twoHostsFlake(t)
		ev, err := e.Evaluate(t.Context(), source(t, dir))
		require.NoError(t, err)
		hosts := byName(ev)
		require.Len(t, hosts, 3)

		var ee *nixbridge.EvalError
		require.ErrorAs(t, hosts["attic"].Err, &ee)
		require.Equal(t, "attic", ee.Host)
		require.Equal(t, "attribute 'nope' missing", ee.Message)
		require.Equal(t, "attic.nix:3", fmt.Sprintf("%s:%d", ee.File, ee.Line))
		require.Contains(t, ee.Trace, "nope")
		require.Equal(t, stateward.StatusFailed, hosts["attic"].Status)

		forge := hosts["forge"]
		require.Equal(t, dir+"#forge", forge.Source)
		require.Equal(t, []string{"tree.bad [throw] bad.nix is bad"}, unknowns(t, forge))
		require.Equal(t, "forge", root(t, forge).Root().At("test", "a", "text").Text().Or(""))
		require.Regexp(t, `^/nix/store/[a-z0-9]{32}-source/secret\.txt$`, root(t, forge).Root().At("tree", "path").Text().Or(""))
		require.Equal(t, "forge", root(t, hosts[`my.host"`]).Root().At("test", "a", "text").Text().Or(""))
	})
}

func TestOnlyTheWantedHostsAreEvaluated(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		var events []string
		e.Progress = func(ev nixbridge.Event) { events = append(events, string(ev.Kind)+" "+ev.Host) }
		e.Hosts = []string{"forge"}
		src := source(t, twoHostsFlake(t))
		ev, err := e.Evaluate(t.Context(), src)
		require.NoError(t, err)
		require.Len(t, ev.Hosts, 1)
		require.Equal(t, []string{"list ", "hosts ", "start forge", "done forge"}, events)
		e.Hosts = []string{"nope"}
		_, err = e.Evaluate(t.Context(), src)
		var ma *nixbridge.MissingAttributeError
		require.ErrorAs(t, err, &ma)
	})
}

func TestPathsAreNeverCopied(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		dir := twoHostsFlake(t)
		_, err := e.Evaluate(t.Context(), source(t, dir+"#forge"))
		require.NoError(t, err)
		evaluate(t, e, "testdata/hosts.nix#kinds")
		entries, err := os.ReadDir(filepath.Join(e.CacheDir, "store/nix/store"))
		require.NoError(t, err)
		for _, en := range entries {
			if strings.HasPrefix(en.Name(), ".") {
				continue
			}
			require.Regexp(t, `^[a-z0-9]{32}-source$`, en.Name(), "only the flake itself is in the store")
		}
		st, err := os.Stat(e.CacheDir)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o700), st.Mode().Perm())
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, left, 4, "nothing is written beside the flake")
	})
}

func TestFileSourceLeavesTheStoreAlone(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		evaluate(t, e, "testdata/hosts.nix#kinds")
		entries, err := os.ReadDir(filepath.Join(e.CacheDir, "store"))
		require.NoError(t, err)
		require.Empty(t, entries)
	})
}

func TestSourcesThatAreNone(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		type missing = *nixbridge.MissingAttributeError
		type noFlake = *nixbridge.NotFlakeError
		flake := twoHostsFlake(t)
		untracked := twoHostsFlake(t)
		git(t, untracked, "init", "-q")
		for name, tc := range map[string]struct {
			arg   string
			check func(t *testing.T, err error)
		}{
			"a folder without flake.nix": {t.TempDir(), func(t *testing.T, err error) {
				var nf noFlake
				require.ErrorAs(t, err, &nf)
				require.False(t, nf.Missing || nf.Untracked)
			}},
			"no folder": {"/nonexistent", func(t *testing.T, err error) {
				var nf noFlake
				require.ErrorAs(t, err, &nf)
				require.True(t, nf.Missing)
			}},
			"a flake.nix that git does not track": {untracked, func(t *testing.T, err error) {
				var nf noFlake
				require.ErrorAs(t, err, &nf)
				require.True(t, nf.Untracked)
				require.Equal(t, "git add flake.nix", nf.Hint())
			}},
			"a flake without hosts": {folder(t, map[string]string{"flake.nix": `{ outputs = _: { x = 1; }; }`}), func(t *testing.T, err error) {
				var ma missing
				require.ErrorAs(t, err, &ma)
				require.Equal(t, "nixosConfigurations", ma.Attribute)
			}},
			"a flake whose hosts are none": {folder(t, map[string]string{"flake.nix": `{ outputs = _: { nixosConfigurations = { }; }; }`}), func(t *testing.T, err error) {
				var nh *nixbridge.NoHostsError
				require.ErrorAs(t, err, &nh)
			}},
			"a host that is not there": {flake + "#nope", func(t *testing.T, err error) {
				var ma missing
				require.ErrorAs(t, err, &ma)
				require.Equal(t, []string{"attic", "forge", `my.host"`}, ma.Names)
			}},
			"a syntax error": {folder(t, map[string]string{"flake.nix": "{\n  outputs = oops {\n"}), func(t *testing.T, err error) {
				var ee *nixbridge.EvalError
				require.ErrorAs(t, err, &ee)
				require.Contains(t, ee.Message, "syntax error")
				require.Equal(t, "flake.nix", ee.File)
			}},
			"an attribute path that leads nowhere": {"testdata/hosts.nix#good.config.nope", func(t *testing.T, err error) {
				var ma missing
				require.ErrorAs(t, err, &ma)
				require.EqualError(t, err, "testdata/hosts.nix#good.config has no attribute nope")
				require.Equal(t, []string{"test", "tree"}, ma.Names)
			}},
			"an attribute path to a number": {"testdata/hosts.nix#noHost.lib", func(t *testing.T, err error) {
				require.ErrorContains(t, err, "it is of type int")
			}},
			"a file that is not there": {"testdata/nope.nix", func(t *testing.T, err error) {
				require.ErrorIs(t, err, fs.ErrNotExist)
			}},
			"a .nix file with a syntax error": {filepath.Join(folder(t, map[string]string{"x.nix": "{\n  a = ;\n}"}), "x.nix"), func(t *testing.T, err error) {
				var ee *nixbridge.EvalError
				require.ErrorAs(t, err, &ee)
				require.Equal(t, "x.nix", ee.File)
				require.Equal(t, 2, ee.Line)
			}},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := e.Evaluate(t.Context(), source(t, tc.arg))
				require.Error(t, err)
				tc.check(t, err)
			})
		}
	})
}

func TestHostsThatAreNone(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		for arg, message := range map[string]string{
			"nothing":      "the configuration is broken",
			"broken":       "attribute 'config' missing",
			"everySection": "cannot go on",
			"undetected":   "no names at all",
			"undetectable": "attribute 'nope' missing",
		} {
			ev, err := e.Evaluate(t.Context(), source(t, "testdata/hosts.nix#"+arg))
			require.NoError(t, err)
			require.Equal(t, stateward.StatusFailed, ev.Hosts[0].Status)
			var ee *nixbridge.EvalError
			require.ErrorAs(t, ev.Hosts[0].Err, &ee)
			require.Equal(t, message, ee.Message)
			require.Equal(t, arg, ee.Host)
		}
		file := filepath.Join(folder(t, map[string]string{"x.nix": "{ ... }: { hosts = { a = { lib = 1; }; b.config.test = { }; }; }"}), "x.nix")
		ev, err := e.Evaluate(t.Context(), source(t, file+"#hosts"))
		require.NoError(t, err)
		require.ErrorContains(t, ev.Hosts[0].Err, "this is no evaluated host")
		require.NoError(t, ev.Hosts[1].Err)
	})
}

func TestFilesAndSetsOfHosts(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		dir := folder(t, map[string]string{
			"set.nix":    `{ a.config.test = { }; "b.c".config.test = { }; }`,
			"inside.nix": `{ x ? 1 }: { nixosConfigurations = { ... }: { a.config.test = { }; }; }`,
			"host.nix":   `{ config.test = { }; }`,
		})
		for arg, want := range map[string][]string{
			"set.nix":                        {"a set.nix#a", `b.c set.nix#"b.c"`},
			`set.nix#"b.c"`:                  {`b.c set.nix#"b.c"`},
			"inside.nix":                     {"a inside.nix#a"},
			"inside.nix#nixosConfigurations": {"a inside.nix#nixosConfigurations.a"},
			"host.nix":                       {"host host.nix#host"},
		} {
			ev, err := e.Evaluate(t.Context(), source(t, dir+"/"+arg))
			require.NoError(t, err, arg)
			var got []string
			for _, h := range ev.Hosts {
				require.NoError(t, h.Err)
				got = append(got, h.Name+" "+strings.TrimPrefix(h.Source, dir+"/"))
			}
			require.Equal(t, want, got, arg)
		}
	})
}

func TestGitFlakes(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		dir := folder(t, map[string]string{
			"sub/flake.nix": `{ outputs = _: { nixosConfigurations.a.config = { test = { }; tree = import ./untracked.nix; }; nixosConfigurations.b.config = { test = { }; tree.x = import ../lib/x.nix; }; }; }`,
			"lib/x.nix":     "{ y = throw \"in x\"; z = { }.z; }",
		})
		git(t, dir, "init", "-q")
		git(t, dir, "add", ".")
		require.NoError(t, os.WriteFile(filepath.Join(dir, "sub/untracked.nix"), []byte("1"), 0o644))
		ev, err := e.Evaluate(t.Context(), source(t, filepath.Join(dir, "sub")))
		require.NoError(t, err)
		hosts := byName(ev)
		require.NoError(t, hosts["a"].Err)
		us := root(t, hosts["a"]).Unknowns()
		require.Len(t, us, 1)
		require.Contains(t, us[0].Message, "untracked.nix")
		require.Contains(t, us[0].Message, "git add sub/untracked.nix")

		us = root(t, hosts["b"]).Unknowns()
		require.Len(t, us, 2)
		require.Equal(t, "tree.x.z", us[1].Subject)
		require.Equal(t, "../lib/x.nix", us[1].File)
	})
}

func TestRepositoryOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can give files away
	}
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		dir := twoHostsFlake(t)
		git(t, dir, "init", "-q")
		git(t, dir, "add", ".")
		// nix asks git for something else where there is a commit.
		for _, committed := range []bool{false, true} {
			testRepositoryOfAnotherUser(t, e, dir, committed)
		}
	})
}

func testRepositoryOfAnotherUser(t *testing.T, e *nixbridge.Evaluator, dir string, committed bool) {
	t.Run(fmt.Sprint("committed ", committed), func(t *testing.T) {
		if committed {
			require.NoError(t, os.Lchown(dir, 0, 0))
			require.NoError(t, os.Lchown(filepath.Join(dir, ".git"), 0, 0))
			git(t, dir, "commit", "-q", "-m", "all")
		}
		require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, 12345, 12345))
		}))
		home := t.TempDir()
		t.Setenv("HOME", home)
		t.Setenv("XDG_CONFIG_HOME", "")
		_, err := e.Evaluate(t.Context(), source(t, dir+"#forge"))
		var oe *nixbridge.OwnershipError
		require.ErrorAs(t, err, &oe)
		require.Equal(t, dir, strings.TrimSuffix(oe.Dir, "/"))
		// What the hint says mends it.
		require.NoError(t, os.WriteFile(filepath.Join(home, ".gitconfig"), []byte("[safe]\n\tdirectory = "+dir+"\n"), 0o644))
		_, err = e.Evaluate(t.Context(), source(t, dir+"#forge"))
		require.NoError(t, err)
	})
}

// narHash is the hash of a tree as lock files hold it.
func narHash(t testing.TB, dir string) string {
	t.Helper()
	h := sha256.New()
	require.NoError(t, nar.DumpPath(h, dir))
	return "sha256-" + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func TestLockedInputs(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		tree := folder(t, map[string]string{"flake.nix": `{ outputs = _: { lib.text = "from the input"; lib.bad = throw "input's fault"; }; }`})
		hash := narHash(t, tree)
		lock := fmt.Sprintf(`{"nodes":{"dep":{"locked":{"lastModified":1,"narHash":%q,"owner":"o","repo":"r","rev":"de42d44212d207476489bce163375d8306a26d59","type":"github"},
			"original":{"owner":"o","repo":"r","type":"github"}},"root":{"inputs":{"dep":"dep"}}},"root":"root","version":7}`, hash)
		dir := folder(t, map[string]string{
			"flake.nix": `{ inputs.dep.url = "github:o/r"; outputs = { self, dep }: { nixosConfigurations = {
				user.config = { test.a.text = dep.lib.text; tree.bad = dep.lib.bad; }; wholly = { config.test = dep.lib; } // dep.lib; plain.config.test = { }; }; }; }`,
			"flake.lock": lock,
		})
		machine := t.TempDir()
		e.SetMachineStore(machine)

		// Absent: only what needs it is in trouble, and it says how to mend that.
		ev, err := e.Evaluate(t.Context(), source(t, dir))
		require.NoError(t, err)
		hosts := byName(ev)
		require.NoError(t, hosts["plain"].Err)
		var ie *nixbridge.InputError
		require.ErrorAs(t, hosts["wholly"].Err, &ie)
		require.Equal(t, []string{"dep"}, ie.Inputs)
		require.NoError(t, hosts["user"].Err)
		const message = `flake input "dep" is not on this machine (fetch it once with ` + "`nix flake archive`" + `, or let nix fetch it with --online)`
		require.Equal(t, []string{"test.a.text [abort] " + message, "tree.bad [abort] " + message}, unknowns(t, hosts["user"]))

		// Present on the machine: nix finds it without a network.
		path, err := nixbridge.SourceStorePath(hash)
		require.NoError(t, err)
		require.NoError(t, os.CopyFS(filepath.Join(machine, filepath.Base(path)), os.DirFS(tree)))
		var events []string
		e.Progress = func(ev nixbridge.Event) {
			if ev.Kind == nixbridge.EventInput {
				events = append(events, ev.Input)
			}
		}
		for range 2 {
			h := evaluate(t, e, dir+"#user")
			require.Equal(t, "from the input", root(t, h).Root().At("test", "a", "text").Text().Or(""))
			require.Equal(t, []string{"tree.bad [throw] input's fault"}, unknowns(t, h))
		}
		require.Equal(t, []string{"dep"}, events, "copied once")
	})
}

func TestBrokenLockFileIsTold(t *testing.T) {
	dir := folder(t, map[string]string{"flake.nix": "{ outputs = _: { }; }", "flake.lock": "{"})
	e := &nixbridge.Evaluator{CacheDir: privateDir(t)}
	_, err := e.Evaluate(t.Context(), source(t, dir))
	var le *nixbridge.LockFileError
	require.ErrorAs(t, err, &le)
	for _, bad := range []string{`{"version":4,"nodes":{}}`, `{"version":7,"nodes":{"a":{"locked":{"narHash":"sha256-x"}}}}`, `{"version":7,"nodes":{"a":{"locked":{"narHash":"md5-eA=="}}}}`} {
		_, err := nixbridge.ParseLock([]byte(bad))
		require.Error(t, err, bad)
	}
}

func TestCancellingEndsNix(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		ctx, cancel := context.WithCancel(t.Context())
		e.Progress = func(ev nixbridge.Event) {
			if ev.Kind == nixbridge.EventStart {
				cancel()
			}
		}
		_, err := e.Evaluate(ctx, source(t, "testdata/hosts.nix#endless"))
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, processes(t, e.CacheDir), "no nix is left")
	})
}

// processes lists those that have a text in their environment.
func processes(t testing.TB, text string) []string {
	var found []string
	dirs, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	for _, d := range dirs {
		env, err := os.ReadFile(filepath.Join(d, "environ"))
		if err == nil && slices.Contains(strings.Split(string(env), "\x00"), "TMPDIR="+filepath.Join(text, "tmp")) {
			found = append(found, d)
		}
	}
	return found
}

func TestTimeoutAndMemoryAreTyped(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		e.Timeout = 1e9
		ev, err := e.Evaluate(t.Context(), source(t, "testdata/hosts.nix#endless"))
		require.NoError(t, err)
		var te *nixbridge.TimeoutError
		require.ErrorAs(t, ev.Hosts[0].Err, &te)
		require.Equal(t, "endless", te.Host)

		e.Timeout, e.MaxHeap = 0, 64<<20
		h := evaluate(t, e, "testdata/hosts.nix#hungry")
		us := root(t, h).Unknowns()
		require.Len(t, us, 1)
		require.Equal(t, "test.a.value", us[0].Subject)
		require.Equal(t, "nix ran out of memory (64 MiB)", us[0].Message)
		require.Equal(t, "sound", root(t, h).Root().At("test", "b", "text").Text().Or(""))
	})
}

// What comes before any host is bounded too.
func TestTheListOfHostsHasItsTime(t *testing.T) {
	const endless = `let g = builtins.genList (x: x) 100000; in builtins.seq (builtins.foldl' (a: b: builtins.foldl' (c: d: c + d) a g) 0 g) { }`
	flake := folder(t, map[string]string{"flake.nix": `{ outputs = _: { nixosConfigurations = ` + endless + `; }; }`})
	fifo := filepath.Join(t.TempDir(), "x.nix")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		var said []string
		e.Progress = func(ev nixbridge.Event) { said = append(said, ev.String()) }
		e.Timeout = 2 * time.Second
		_, err := e.Evaluate(t.Context(), source(t, "path:"+flake))
		require.ErrorIs(t, err, nixbridge.Timeout)
		require.EqualError(t, err, "the list of hosts took longer than 2s")
		require.Contains(t, said, "listing hosts of path:"+flake)
		require.Empty(t, processes(t, e.CacheDir), "no nix is left")

		_, err = e.Evaluate(t.Context(), source(t, fifo))
		var se *nixbridge.SourceError
		require.ErrorAs(t, err, &se)
		require.ErrorContains(t, err, "is no regular file")
	})
}

// Newer nix end in a long back trace where memory fails outside of the evaluator.
func TestMemoryOfACrash(t *testing.T) {
	file := filepath.Join(folder(t, map[string]string{"h.nix": `{ config.test = { a.value = 1; b.text = "b"; }; }`}), "h.nix")
	trace := strings.Repeat("echo '  1# 0x00000000008E17D9 in nix' >&2\n", 40)
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		e.Nix = wrapped(t, e.Nix, "case \"$*\" in --version | *'hosts = '*) ;; *) echo 'Nix crashed. This is a bug.' >&2; echo 'Exception: std::bad_alloc: std::bad_alloc' >&2\n"+trace+"kill -ABRT $$;; esac\nexec '%s' \"$@\"\n")
		ev, err := e.Evaluate(t.Context(), source(t, file))
		require.NoError(t, err)
		require.ErrorIs(t, ev.Hosts[0].Err, nixbridge.OutOfMemory)
	})
}

func TestPrivateFolderThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := (&nixbridge.Evaluator{CacheDir: filepath.Join(file, "x")}).Evaluate(t.Context(), source(t, "testdata/hosts.nix#good"))
	var ce *nixbridge.CacheError
	require.ErrorAs(t, err, &ce)
}
