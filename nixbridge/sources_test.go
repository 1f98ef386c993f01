package nixbridge_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/nixbridge"
)

// place is a source of a table, laid out in a folder of its own.
type place struct {
	files map[string]string
	// git commands are run in the folder, or in the one that is named first.
	git []string
	// then are files that are written after that.
	then map[string]string
	// links are symbolic links, from name to target.
	links map[string]string
	// machine are trees of files that lie in the machine's store as "source", by their names in the texts of files: NAME is
	// replaced by the hash of the tree.
	machine map[string]map[string]string
	// in is the working folder, below the folder; arg the source, with DIR for the folder.
	in, arg string
	// want is what comes of it: the text of each host, and what could not be had, or an error with its hint.
	want string
	// by is what another version makes of it.
	by map[string]string
}

func oneHost(expr string) string {
	return "{ outputs = inputs: { nixosConfigurations.a.config.test.a.text = " + expr + "; }; }\n"
}

func withInputs(inputs, expr string) string {
	return "{ inputs = { " + inputs + " }; outputs = inputs: { nixosConfigurations.a.config.test.a.text = " + expr + "; }; }\n"
}

const rev = "de42d44212d207476489bce163375d8306a26d59"

// lockOf is a lock file with one input.
func lockOf(version int, locked, original string) string {
	return fmt.Sprintf(`{"nodes":{"dep":{"locked":%s,"original":%s},"root":{"inputs":{"dep":"dep"}}},"root":"root","version":%d}`, locked, original, version)
}

var (
	depTree     = map[string]string{"flake.nix": `{ outputs = _: { text = "from the input"; }; }`}
	githubLock  = `{"lastModified":1,"narHash":"HASH-dep","owner":"o","repo":"r","rev":"` + rev + `","type":"github"}`
	tarballLock = `{"lastModified":1,"narHash":"HASH-dep","type":"tarball","url":"https://example.org/dep.tar.gz"}`
	gitLock     = `{"lastModified":1,"narHash":"HASH-dep","ref":"refs/heads/main","rev":"` + rev + `","revCount":1,"type":"git","url":"https://example.org/dep.git"}`
)

var places = map[string]place{
	"a file": {files: map[string]string{"hosts.nix": `{ config.test.a.text = "text"; }`}, arg: "DIR/hosts.nix", want: "hosts: text"},
	"a file in a folder of an odd name": {files: map[string]string{"a #%20 ü/hosts.nix": `{ config.test.a.text = import ./x.nix; }`, "a #%20 ü/x.nix": `"text"`},
		arg: "DIR/a #%20 ü/hosts.nix", want: "hosts: text"},
	"a file through a link": {files: map[string]string{"real/hosts.nix": `{ config.test.a.text = import ./x.nix; }`, "real/x.nix": `"text"`},
		links: map[string]string{"link": "real"}, arg: "DIR/link/hosts.nix", want: "hosts: text"},
	"a folder":                                  {files: map[string]string{"flake.nix": oneHost(`import ./x.nix`), "x.nix": `"text"`}, arg: "DIR", want: "a: text"},
	"the current folder":                        {files: map[string]string{"flake.nix": oneHost(`import ./x.nix`), "x.nix": `"text"`}, in: ".", arg: ".", want: "a: text"},
	"a folder below the flake":                  {files: map[string]string{"flake.nix": oneHost(`"text"`), "below/x": ""}, in: "below", arg: ".", want: "a: text"},
	"a folder below the flake, in a repository": {files: map[string]string{"flake.nix": oneHost(`"text"`), "below/x": ""}, git: []string{"add ."}, in: "below", arg: ".", want: "a: text"},
	"path: of a folder":                         {files: map[string]string{"flake.nix": oneHost(`"text"`)}, in: ".", arg: "path:.", want: "a: text"},
	"a commit":                                  {files: map[string]string{"flake.nix": oneHost(`"${inputs.self.rev or "none"}"`)}, git: []string{"add .", "commit -qm x"}, arg: "DIR", want: "a: REV"},
	"a repository, no commit":                   {files: map[string]string{"flake.nix": oneHost(`"${inputs.self.rev or "none"}"`)}, git: []string{"add ."}, arg: "DIR", want: "a: none"},
	"git+file: of a folder":                     {files: map[string]string{"flake.nix": oneHost(`"text"`)}, git: []string{"add ."}, arg: "git+file://DIR", want: "a: text"},
	"a dirty tree": {files: map[string]string{"flake.nix": oneHost(`import ./x.nix`), "x.nix": `"old"`}, git: []string{"add .", "commit -qm x"},
		then: map[string]string{"x.nix": `"new"`}, arg: "DIR", want: "a: new"},
	"a file that git does not track": {files: map[string]string{"flake.nix": oneHost(`import ./sub/x.nix`)}, git: []string{"add ."},
		then: map[string]string{"sub/x.nix": `"text"`}, arg: "DIR", want: "a: unknown, hint git add sub/x.nix", by: map[string]string{"2.8": "a: unknown, hint git add sub"}},
	"a file that git does not track, by path:": {files: map[string]string{"flake.nix": oneHost(`import ./x.nix`)}, git: []string{"add ."},
		then: map[string]string{"x.nix": `"text"`}, arg: "path:DIR", want: "a: text"},
	"a file that git was told of": {files: map[string]string{"flake.nix": oneHost(`import ./x.nix`)}, git: []string{"add .", "commit -qm x"},
		then: map[string]string{"x.nix": `"text"`}, links: map[string]string{"-": "add -N x.nix"}, arg: "DIR", want: "a: text"},
	"a flake that git does not track": {files: map[string]string{"x": ""}, git: []string{"add ."}, then: map[string]string{"flake.nix": oneHost(`"text"`)},
		arg: "DIR", want: "DIR is no flake: git does not track its flake.nix; hint git add flake.nix"},
	"a subfolder":    {files: map[string]string{"sub/flake.nix": oneHost(`import ../x.nix`), "x.nix": `"text"`}, git: []string{"add ."}, arg: "DIR/sub", want: "a: text"},
	"?dir=":          {files: map[string]string{"sub/flake.nix": oneHost(`import ../x.nix`), "x.nix": `"text"`}, git: []string{"add ."}, arg: "git+file://DIR?dir=sub", want: "a: text"},
	"?dir= of path:": {files: map[string]string{"sub/flake.nix": oneHost(`import ../x.nix`), "x.nix": `"text"`}, arg: "path:DIR?dir=sub", want: "a: text", by: map[string]string{"2.8": `path URL 'path:DIR?dir=sub' has unsupported parameter 'dir'; hint the flake needs a nix newer than 2.8.0: name one with --nix`}},
	"a link":         {files: map[string]string{"real/flake.nix": oneHost(`"text"`)}, links: map[string]string{"link": "real"}, arg: "DIR/link", want: "a: text"},
	"a link within the flake": {files: map[string]string{"flake.nix": oneHost(`import ./link/x.nix`), "real/x.nix": `"text"`}, git: []string{"add ."},
		links: map[string]string{"link": "real", "-": "add link"}, arg: "DIR", want: "a: text"},
	"a blank in the name":                  {files: map[string]string{"a b/flake.nix": oneHost(`"text"`)}, arg: "DIR/a b", want: "a: text", by: map[string]string{"2.8": cannotName("a b")}},
	"# in the name":                        {files: map[string]string{"a#b/flake.nix": oneHost(`"text"`)}, arg: "DIR/a#b", want: "a: text", by: map[string]string{"2.8": cannotName("a#b")}},
	"% in the name":                        {files: map[string]string{"a%20b/flake.nix": oneHost(`"text"`)}, arg: "DIR/a%20b", want: "a: text", by: map[string]string{"2.8": cannotName("a%20b")}},
	"unicode in the name":                  {files: map[string]string{"ä-日本/flake.nix": oneHost(`import (./. + "/ü.nix")`), "ä-日本/ü.nix": `"text"`}, arg: "DIR/ä-日本", want: "a: text", by: map[string]string{"2.8": cannotName("ä-日本")}},
	"unicode in the name, in a repository": {files: map[string]string{"flake.nix": oneHost(`import (./. + "/ü.nix")`), "ü.nix": `"text"`}, git: []string{"add ."}, arg: "DIR", want: "a: text"},
	"a worktree": {files: map[string]string{"main/flake.nix": oneHost(`import ./x.nix`), "main/x.nix": `"old"`},
		git: []string{"main: init -q", "main: add .", "main: commit -qm x", "main: worktree add -q ../tree -b other"}, then: map[string]string{"tree/x.nix": `"new"`}, arg: "DIR/tree", want: "a: new"},
	"a shallow clone": {files: map[string]string{"main/flake.nix": oneHost(`import ./x.nix`), "main/x.nix": `"text"`},
		git: []string{"main: init -q", "main: add .", "main: commit -qm x", "main: commit -q --allow-empty -m y", "main: clone -q --depth 1 file://DIR/main ../clone"}, arg: "DIR/clone", want: "a: text"},
	"a shallow clone that is dirty": {files: map[string]string{"main/flake.nix": oneHost(`import ./x.nix`), "main/x.nix": `"text"`},
		git:  []string{"main: init -q", "main: add .", "main: commit -qm x", "main: commit -q --allow-empty -m y", "main: clone -q --depth 1 file://DIR/main ../clone"},
		then: map[string]string{"clone/x.nix": `"new"`}, arg: "DIR/clone", want: "a: new"},
	"a submodule": {files: map[string]string{"mod/x.nix": `"text"`, "main/flake.nix": oneHost(`import ./mod/x.nix`)},
		git: []string{"mod: init -q", "mod: add .", "mod: commit -qm x", "main: init -q", "main: -c protocol.file.allow=always submodule --quiet add DIR/mod mod", "main: add .", "main: commit -qm x"},
		arg: "DIR/main", want: "a: unknown, hint mod is a submodule: name the flake git+file:DIR/main?submodules=1"},
	"a submodule that is asked for": {files: map[string]string{"mod/x.nix": `"text"`, "main/flake.nix": oneHost(`import ./mod/x.nix`)},
		git: []string{"mod: init -q", "mod: add .", "mod: commit -qm x", "main: init -q", "main: -c protocol.file.allow=always submodule --quiet add DIR/mod mod", "main: add .", "main: commit -qm x"},
		arg: "git+file://DIR/main?submodules=1", want: "a: text", by: map[string]string{"2.8": `program 'git' failed with exit code 1; hint nix 2.8.0 clones submodules from where .gitmodules says: name a newer nix with --nix, or the folder with path:`}},
	"another branch": {files: map[string]string{"flake.nix": oneHost(`"old"`)}, git: []string{"add .", "commit -qm x", "branch old"}, then: map[string]string{"flake.nix": oneHost(`"new"`)},
		arg: "git+file://DIR?ref=old", want: "a: old"},
	"a bare repository": {files: map[string]string{"main/flake.nix": oneHost(`"text"`)}, git: []string{"main: init -q -b master", "main: add .", "main: commit -qm x", "main: clone -q --bare . ../bare.git"},
		arg: "git+file://DIR/bare.git?ref=master", want: "a: text"},

	"an input below the flake": {files: map[string]string{"flake.nix": withInputs(`dep.url = "path:./sub";`, "inputs.dep.text"), "sub/flake.nix": depTree["flake.nix"]}, arg: "DIR", want: "a: from the input"},
	"an input below the flake, in a repository": {files: map[string]string{"flake.nix": withInputs(`dep.url = "path:./sub";`, "inputs.dep.text"), "sub/flake.nix": depTree["flake.nix"]},
		git: []string{"add ."}, arg: "DIR", want: "a: from the input"},
	"an input below the flake that reads beside itself": {files: map[string]string{"flake.nix": withInputs(`dep.url = "path:./sub";`, "inputs.dep.text"), "sub/flake.nix": `{ outputs = _: { text = import ../x.nix; }; }`, "x.nix": `"beside"`},
		git: []string{"add ."}, arg: "DIR", want: "a: beside", by: map[string]string{"2.8": "a: unknown"}},
	"an input below the flake, locked": {files: map[string]string{"flake.nix": withInputs(`dep.url = "path:./sub";`, "inputs.dep.text"), "sub/flake.nix": depTree["flake.nix"],
		"flake.lock": `{"nodes":{"dep":{"locked":{"path":"./sub","type":"path"},"original":{"path":"./sub","type":"path"},"parent":[]},"root":{"inputs":{"dep":"dep"}}},"root":"root","version":7}`},
		git: []string{"add ."}, arg: "DIR", want: "a: from the input", by: map[string]string{"2.8": `lockfile contains mutable lock '{"path":"./sub","type":"path"}'; hint the flake needs a nix newer than 2.8.0: name one with --nix`}},
	"an input beside the flake": {files: map[string]string{"main/flake.nix": withInputs(`dep.url = "path:../sub";`, "inputs.dep.text"), "sub/flake.nix": depTree["flake.nix"]},
		git: []string{"add ."}, arg: "DIR/main", want: "a: from the input"},
	"an input by its full path": {files: map[string]string{"main/flake.nix": withInputs(`dep.url = "path:DIR/sub";`, "inputs.dep.text"), "sub/flake.nix": depTree["flake.nix"]}, arg: "DIR/main", want: "a: from the input"},
	"an input that is a repository": {files: map[string]string{"main/flake.nix": withInputs(`dep.url = "git+file://DIR/sub";`, "inputs.dep.text"), "sub/flake.nix": depTree["flake.nix"]},
		git: []string{"sub: init -q", "sub: add .", "sub: commit -qm x"}, arg: "DIR/main", want: "a: from the input"},

	"github": {files: map[string]string{"flake.nix": withInputs(`dep.url = "github:o/r";`, "inputs.dep.text"), "flake.lock": lockOf(7, githubLock, `{"owner":"o","repo":"r","type":"github"}`)}, machine: map[string]map[string]string{"dep": depTree}, arg: "DIR", want: "a: from the input"},
	"github, not there": {files: map[string]string{"flake.nix": withInputs(`dep.url = "github:o/r";`, "inputs.dep.text"), "flake.lock": lockOf(7, githubLock, `{"owner":"o","repo":"r","type":"github"}`)}, machine: map[string]map[string]string{"-dep": depTree}, arg: "DIR",
		want: "a: unknown, hint fetch it once with `nix flake archive`, or let nix fetch it with --online"},
	"a tarball":              {files: map[string]string{"flake.nix": withInputs(`dep.url = "https://example.org/dep.tar.gz";`, "inputs.dep.text"), "flake.lock": lockOf(7, tarballLock, `{"type":"tarball","url":"https://example.org/dep.tar.gz"}`)}, machine: map[string]map[string]string{"dep": depTree}, arg: "DIR", want: "a: from the input", by: map[string]string{"2.8": `unsupported tarball input attribute 'lastModified'; hint the flake needs a nix newer than 2.8.0: name one with --nix`}},
	"git":                    {files: map[string]string{"flake.nix": withInputs(`dep.url = "git+https://example.org/dep.git";`, "inputs.dep.text"), "flake.lock": lockOf(7, gitLock, `{"type":"git","url":"https://example.org/dep.git"}`)}, machine: map[string]map[string]string{"dep": depTree}, arg: "DIR", want: "a: from the input"},
	"the registry":           {files: map[string]string{"flake.nix": "{ outputs = { self, dep }: { nixosConfigurations.a.config.test.a.text = dep.text; }; }", "flake.lock": lockOf(7, githubLock, `{"id":"dep","type":"indirect"}`)}, machine: map[string]map[string]string{"dep": depTree}, arg: "DIR", want: "a: from the input"},
	"the registry, unlocked": {files: map[string]string{"flake.nix": "{ outputs = { self, dep }: { nixosConfigurations.a.config.test.a.text = dep.text; }; }"}, arg: "DIR", want: "network"},
	"unlocked":               {files: map[string]string{"flake.nix": withInputs(`dep.url = "https://stateward.invalid/dep.tar.gz";`, "inputs.dep.text")}, arg: "DIR", want: "network"},
	"an input that is no flake": {files: map[string]string{"flake.nix": withInputs(`dep = { url = "github:o/r"; flake = false; };`, `builtins.readFile "${inputs.dep}/x"`),
		"flake.lock": `{"nodes":{"dep":{"flake":false,"locked":` + githubLock + `,"original":{"owner":"o","repo":"r","type":"github"}},"root":{"inputs":{"dep":"dep"}}},"root":"root","version":7}`},
		machine: map[string]map[string]string{"dep": {"x": "no flake"}}, arg: "DIR", want: "a: no flake"},
	"an input that follows another": {files: map[string]string{"flake.nix": withInputs(`dep.url = "github:o/r"; two = { url = "github:o/two"; inputs.dep.follows = "dep"; };`, "inputs.two.text"),
		"flake.lock": `{"nodes":{"dep":{"locked":` + githubLock + `,"original":{"owner":"o","repo":"r","type":"github"}},
			"two":{"inputs":{"dep":["dep"]},"locked":{"lastModified":1,"narHash":"HASH-two","owner":"o","repo":"two","rev":"1111111111111111111111111111111111111111","type":"github"},"original":{"owner":"o","repo":"two","type":"github"}},
			"root":{"inputs":{"dep":"dep","two":"two"}}},"root":"root","version":7}`},
		machine: map[string]map[string]string{"dep": depTree, "two": {"flake.nix": `{ inputs.dep.url = "github:o/other"; outputs = { self, dep }: { text = "two, ${dep.text}"; }; }`}}, arg: "DIR", want: "a: two, from the input"},
	"an input that is a file": {files: map[string]string{"flake.nix": withInputs(`dep = { url = "path:./data.txt"; flake = false; };`, `builtins.readFile inputs.dep`), "data.txt": "data"}, git: []string{"add ."}, arg: "DIR", want: "a: data", by: map[string]string{"2.26": "a: unknown"}},

	"lock file version 5":  {files: map[string]string{"flake.nix": withInputs(`dep.url = "github:o/r";`, "inputs.dep.text"), "flake.lock": lockOf(5, githubLock, `{"owner":"o","repo":"r","type":"github"}`)}, machine: map[string]map[string]string{"dep": depTree}, arg: "DIR", want: "a: from the input"},
	"lock file version 6":  {files: map[string]string{"flake.nix": withInputs(`dep.url = "github:o/r";`, "inputs.dep.text"), "flake.lock": lockOf(6, githubLock, `{"owner":"o","repo":"r","type":"github"}`)}, machine: map[string]map[string]string{"dep": depTree}, arg: "DIR", want: "a: from the input"},
	"lock file version 99": {files: map[string]string{"flake.nix": withInputs(`dep.url = "github:o/r";`, "inputs.dep.text"), "flake.lock": lockOf(99, githubLock, `{"owner":"o","repo":"r","type":"github"}`)}, arg: "DIR", want: "DIR/flake.lock: version 99 of the lock file is not known; hint write it anew with `nix flake lock`"},
	"lock file version 4":  {files: map[string]string{"flake.nix": withInputs(`dep.url = "github:o/r";`, "inputs.dep.text"), "flake.lock": lockOf(4, githubLock, `{"owner":"o","repo":"r","type":"github"}`)}, arg: "DIR", want: "DIR/flake.lock: version 4 of the lock file is not known; hint write it anew with `nix flake lock`"},
}

func cannotName(name string) string {
	return `source "DIR/` + name + `" lies in a folder that nix 2.8.0 cannot name; hint take blanks, #, % and letters beyond ASCII out of the folder's path, or name a newer nix with --nix`
}

// lay makes the place, and returns its folder and the store of the machine.
func (p place) lay(t *testing.T) (dir, machine string) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	machine = t.TempDir()
	hashes := []string{"DIR", dir}
	for name, files := range p.machine {
		tree := folder(t, files)
		hash := narHash(t, tree)
		hashes = append(hashes, "HASH-"+strings.TrimPrefix(name, "-"), hash)
		path, err := nixbridge.SourceStorePath(hash)
		require.NoError(t, err)
		if !strings.HasPrefix(name, "-") {
			require.NoError(t, os.CopyFS(filepath.Join(machine, filepath.Base(path)), os.DirFS(tree)))
		}
	}
	fill := strings.NewReplacer(hashes...)
	write := func(files map[string]string) {
		for name, text := range files {
			file := filepath.Join(dir, name)
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
			require.NoError(t, os.WriteFile(file, []byte(fill.Replace(text)), 0o644))
		}
	}
	write(p.files)
	for name, target := range p.links {
		if name != "-" {
			require.NoError(t, os.Symlink(target, filepath.Join(dir, name)))
		}
	}
	for i, c := range p.git {
		in := dir
		if sub, rest, ok := strings.Cut(c, ": "); ok {
			in, c = filepath.Join(dir, sub), rest
		} else if i == 0 {
			git(t, dir, "init", "-q")
		}
		git(t, in, strings.Fields(fill.Replace(c))...)
	}
	write(p.then)
	if c := p.links["-"]; c != "" {
		git(t, dir, strings.Fields(c)...)
	}
	return dir, machine
}

var sourceHint = regexp.MustCompile(`\(([^()]*(?:git add|git\+file|fetch it)[^()]*)\)$`)

// outcome is what came of an evaluation, in the words of [place.want].
func outcome(t *testing.T, ev *nixbridge.Evaluation, err error) string {
	if err != nil {
		if errors.Is(err, nixbridge.Network) {
			return "network"
		}
		s := err.Error()
		if h := nixbridge.Hinter(nil); errors.As(err, &h) && h.Hint() != "" {
			s += "; hint " + h.Hint()
		}
		return s
	}
	var all []string
	for _, h := range ev.Hosts {
		if h.Err != nil {
			all = append(all, h.Name+" failed: "+h.Err.Error())
			continue
		}
		s := h.Name + ": " + root(t, h).Root().At("test", "a", "text").Text().Or("unknown")
		for _, u := range root(t, h).Unknowns() {
			if m := sourceHint.FindStringSubmatch(u.Message); m != nil {
				s += ", hint " + m[1]
			}
		}
		all = append(all, s)
	}
	return strings.Join(all, "; ")
}

var inStore = regexp.MustCompile(`[0-9a-z]{32}-source`)

// Every source is evaluated by every nix, and by all of them alike: what one says the others say byte for byte, apart
// from nix' own words for what fails.
func TestSourcesOfEveryKind(t *testing.T) {
	saved := map[string][]byte{}
	var mu sync.Mutex
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		ev, err := e.Evaluate(t.Context(), source(t, "testdata/hosts.nix#good"))
		require.NoError(t, err, "nix is needed: run `make deps`")
		nix := ev.Nix
		for name, p := range places {
			t.Run(name, func(t *testing.T) {
				dir, machine := p.lay(t)
				if p.in == "" {
					t.Parallel()
				} else {
					t.Chdir(filepath.Join(dir, p.in))
				}
				e := &nixbridge.Evaluator{Nix: e.Nix, CacheDir: privateDir(t), Timeout: e.Timeout, Dialects: e.Dialects}
				e.SetMachineStore(machine)
				ev, err := e.Evaluate(t.Context(), source(t, strings.ReplaceAll(p.arg, "DIR", dir)))
				got := strings.ReplaceAll(outcome(t, ev, err), dir, "DIR")
				if r := regexp.MustCompile(`: [0-9a-f]{40}$`); p.want == "a: REV" {
					got = r.ReplaceAllString(got, ": REV")
				}
				want := p.want
				for version, other := range p.by {
					if strings.HasPrefix(nix, version+".") {
						want = other
					}
				}
				if d := cmp.Diff(want, got); d != "" {
					if ev != nil {
						t.Log(unknowns(t, ev.Hosts[0]))
					}
					t.Fatal(d, err)
				}
				if err != nil || strings.Contains(want, "unknown") {
					return
				}
				ev.Nix = ""
				var b bytes.Buffer
				require.NoError(t, ev.Write(&b))
				text := bytes.ReplaceAll(b.Bytes(), []byte(dir), []byte("DIR"))
				text = inStore.ReplaceAll(text, []byte("source"))
				if p.want == "a: REV" {
					return // a commit has a time
				}
				mu.Lock()
				if saved[name] == nil {
					saved[name] = text
				}
				first := saved[name]
				mu.Unlock()
				require.Empty(t, cmp.Diff(string(first), string(text)), "another nix said something else")
			})
		}
	})
}
