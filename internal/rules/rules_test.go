package rules

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// Every file of the module keeps to the package table and the rules beside it.
// The imports are read from the files: what `go list` says goes stale in the test cache.
func TestRules(t *testing.T) {
	root := filepath.Join("..", "..")
	_, err := os.Stat(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	files := 0
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files++
		for _, v := range check(filepath.ToSlash(rel), src) {
			t.Error(v)
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, files, 50, "the module was found")
}

// impure are the standard packages that a package which only computes has no use for.
var impure = []string{"os", "net", "math/rand", "crypto/rand", "syscall", "io/ioutil", "os/exec", "plugin", "testing", "unsafe", "log", "runtime/debug"}

// clock are the functions of package time that look at the clock or wait for it.
var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Sleep"}

// starters start processes by other names.
var starters = map[string][]string{
	"os":                    {"StartProcess"},
	"syscall":               {"ForkExec", "StartProcess", "Exec", "RawSyscall", "Syscall"},
	"golang.org/x/sys/unix": {"Exec"},
}

// check returns what a file does that it must not, one violation a line.
func check(name string, src []byte) []string {
	var out []string
	fset := token.NewFileSet()
	report := func(at token.Pos, format string, args ...any) {
		out = append(out, fmt.Sprintf("%s:%d: %s", name, fset.Position(at).Line, fmt.Sprintf(format, args...)))
	}
	file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	dir := path.Dir(name)
	l, ok := layerOf(dir)
	if !ok {
		return []string{fmt.Sprintf("%s:1: folder %s is not in the package table: decide what it may import", name, dir)}
	}
	isTest := strings.HasSuffix(name, "_test.go")
	if l.dir == "internal/rules" {
		return nil
	}

	names := map[string]string{} // how the file calls what it imports
	for _, imp := range file.Imports {
		p, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			report(imp.Pos(), "import path %s", imp.Path.Value)
			continue
		}
		called := path.Base(p)
		if strings.HasPrefix(called, "v") && strings.Trim(called[1:], "0123456789") == "" {
			called = path.Base(path.Dir(p)) // math/rand/v2
		}
		if imp.Name != nil {
			called = imp.Name.Name
		}
		names[called] = p
		if called == "." {
			report(imp.Pos(), "imports %s into its own names", p)
		}
		if !isTest {
			for _, fault := range l.importFaults(p) {
				report(imp.Pos(), "%s", fault)
			}
		}
	}

	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				report(n.Pos(), "has an init function")
			}
		case *ast.GoStmt:
			if l.pure {
				report(n.Pos(), "starts a goroutine, and %s only computes: make test runs such packages without the race detector", l.dir)
			}
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok {
				return true
			}
			from, what := names[x.Name], n.Sel.Name
			switch {
			case l.pure && isTest && what == "Parallel":
				report(n.Pos(), "uses %s.Parallel: make test runs packages that only compute without the race detector", x.Name)
			case l.pure && !isTest && from == "time" && slices.Contains(clock, what):
				report(n.Pos(), "uses time.%s: time comes in as an argument", what)
			case l.pure && !isTest && from == "time" && what == "LoadLocation":
				report(n.Pos(), "uses time.LoadLocation, which reads files: zones come in as an argument")
			case !isTest && !l.starts && slices.Contains(starters[from], what):
				report(n.Pos(), "uses %s.%s: only internal/run starts processes", path.Base(from), what)
			case (isTest || l.tests) && (slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, what) || from == "testing" && what == "Short"):
				report(n.Pos(), "uses %s.%s: a test that is skipped shows nothing", x.Name, what)
			}
		}
		return true
	})
	return out
}

// importFaults says why a package of the layer must not import another one.
func (l layer) importFaults(p string) []string {
	if dir, ours := folder(p); ours {
		if other, ok := layerOf(dir); ok && other.tests && !l.tests {
			return []string{"imports " + dir + ", which is for tests only"}
		}
		if !slices.ContainsFunc(l.ours, func(pattern string) bool { return matches(pattern, dir) }) {
			return []string{fmt.Sprintf("imports %s, which the package table does not allow for %s", dir, l.dir)}
		}
		return nil
	}
	if p == "os/exec" && !l.starts {
		return []string{"imports os/exec: only internal/run starts processes"}
	}
	if first, _, _ := strings.Cut(p, "/"); !strings.Contains(first, ".") {
		if p == "testing" && l.tests {
			return nil
		}
		if l.pure && slices.ContainsFunc(impure, func(i string) bool { return p == i || strings.HasPrefix(p, i+"/") }) {
			return []string{"imports " + p + ", and " + l.dir + " only computes"}
		}
		return nil
	}
	if !slices.ContainsFunc(l.third, func(m string) bool { return p == m || strings.HasPrefix(p, m+"/") }) {
		return []string{fmt.Sprintf("imports %s, which is not decided on for %s", p, l.dir)}
	}
	return nil
}

func TestRulesCatch(t *testing.T) {
	ours := func(dir string) string { return `import "` + module + `/` + dir + `"` }
	for _, tc := range []struct {
		name, file, src string
		want            []string
	}{
		{"root imports one of ours", "x.go", ours("aggregate"), []string{"x.go:2: imports aggregate, which the package table does not allow for ."}},
		{"root imports another's", "x.go", `import "github.com/google/go-cmp/cmp"`, []string{"x.go:2: imports github.com/google/go-cmp/cmp, which is not decided on for ."}},
		{"root reads files", "x.go", `import "os"`, []string{"x.go:2: imports os, and . only computes"}},
		{"the standard library is open", "x.go", `import ("strings"; "net/netip"; "math"; "time")`, []string{"x.go:2: imports net/netip, and . only computes"}},
		{"randomness", "aggregate/x.go", `import ("math/rand/v2"; "crypto/rand")`, []string{"aggregate/x.go:2: imports math/rand/v2, and aggregate only computes", "aggregate/x.go:2: imports crypto/rand, and aggregate only computes"}},
		{"the clock", "aggregate/x.go", "import \"time\"\nvar now = time.Now()", []string{"aggregate/x.go:3: uses time.Now: time comes in as an argument"}},
		{"the clock by another name", "dataset/x.go", "import clock \"time\"\nvar f = clock.Since", []string{"dataset/x.go:3: uses time.Since: time comes in as an argument"}},
		{"the clock without a name", "dataset/x.go", "import . \"time\"", []string{"dataset/x.go:2: imports time into its own names"}},
		{"time as a type", "aggregate/x.go", "import \"time\"\nvar now time.Time", nil},
		{"the zones of the machine", "backup/x.go", "import \"time\"\nvar zones = time.LoadLocation", []string{"backup/x.go:3: uses time.LoadLocation, which reads files: zones come in as an argument"}},
		{"the clock where it is due", "nixbridge/x.go", "import \"time\"\nvar now = time.Now()", nil},
		{"a process", "nixbridge/x.go", `import "os/exec"`, []string{"nixbridge/x.go:2: imports os/exec: only internal/run starts processes"}},
		{"a process by another door", "internal/cli/x.go", "import \"os\"\nvar start = os.StartProcess", []string{"internal/cli/x.go:3: uses os.StartProcess: only internal/run starts processes"}},
		{"a process by the back door", "internal/cli/x.go", "import \"syscall\"\nvar start = syscall.ForkExec", []string{"internal/cli/x.go:3: uses syscall.ForkExec: only internal/run starts processes"}},
		{"a process where it is due", "internal/run/x.go", "import (\"os/exec\"; \"syscall\")\nvar start = syscall.ForkExec", nil},
		{"a process in a test", "internal/cli/x_test.go", `import "os/exec"`, nil},
		{"backup imports what renders it", "backup/x.go", ours("backup/restic"), []string{"backup/x.go:2: imports backup/restic, which the package table does not allow for backup"}},
		{"one renderer imports another", "backup/restic/x.go", ours("backup/sanoid"), []string{"backup/restic/x.go:2: imports backup/sanoid, which the package table does not allow for backup/*"}},
		{"preseed imports a renderer", "preseed/x.go", ours("backup/restic"), nil},
		{"dataset imports aggregate", "dataset/x.go", ours("aggregate"), []string{"dataset/x.go:2: imports aggregate, which the package table does not allow for dataset"}},
		{"aggregate imports the bridge", "aggregate/x.go", ours("nixbridge"), []string{"aggregate/x.go:2: imports nixbridge, which the package table does not allow for aggregate"}},
		{"the bridge imports aggregate", "nixbridge/x.go", ours("aggregate"), []string{"nixbridge/x.go:2: imports aggregate, which the package table does not allow for nixbridge"}},
		{"flaketest imports aggregate", "nixbridge/flaketest/x.go", ours("aggregate"), nil},
		{"a dialect imports the bridge", "nixbridge/dialect/nixos/x.go", ours("nixbridge"), []string{"nixbridge/dialect/nixos/x.go:2: imports nixbridge, which the package table does not allow for nixbridge/dialect/*"}},
		{"a dialect imports another", "nixbridge/dialect/nixos/x.go", ours("nixbridge/dialect/qgroget"), []string{"nixbridge/dialect/nixos/x.go:2: imports nixbridge/dialect/qgroget, which the package table does not allow for nixbridge/dialect/*"}},
		{"a syntax writer imports the contract", "internal/syntax/ini/x.go", `import "` + module + `"`, []string{"internal/syntax/ini/x.go:2: imports ., which the package table does not allow for internal/syntax/*"}},
		{"a syntax writer imports a library", "internal/syntax/nix/x.go", `import "mvdan.cc/sh/v3/syntax"`, []string{"internal/syntax/nix/x.go:2: imports mvdan.cc/sh/v3/syntax, which is not decided on for internal/syntax/*"}},
		{"the shell writer imports its library", "internal/syntax/shell/x.go", `import "mvdan.cc/sh/v3/syntax"`, nil},
		{"run imports one of ours", "internal/run/x.go", ours("internal/golden"), []string{"internal/run/x.go:2: imports internal/golden, which is for tests only"}},
		{"the command is free", "internal/cli/x.go", `import ("` + module + `/aggregate"; "` + module + `/nixbridge"; "` + module + `/internal/syntax/nix"; "github.com/spf13/cobra"; "os")`, nil},
		{"the command imports a test's helper", "internal/cli/x.go", ours("internal/nixtest"), []string{"internal/cli/x.go:2: imports internal/nixtest, which is for tests only"}},
		{"main imports more than the command", "cmd/stateward/x.go", ours("aggregate"), []string{"cmd/stateward/x.go:2: imports aggregate, which the package table does not allow for cmd/stateward"}},
		{"a library that is not decided on", "nixbridge/x.go", `import "github.com/dustin/go-humanize"`, []string{"nixbridge/x.go:2: imports github.com/dustin/go-humanize, which is not decided on for nixbridge"}},
		{"an example imports what others cannot", "examples/library/x.go", ours("internal/run"), []string{"examples/library/x.go:2: imports internal/run, which the package table does not allow for examples/*"}},
		{"a new package", "retention/x.go", "", []string{"retention/x.go:1: folder retention is not in the package table: decide what it may import"}},
		{"init", "internal/cli/x.go", "func init() {}", []string{"internal/cli/x.go:2: has an init function"}},
		{"init in a test", "aggregate/x_test.go", "func init() {}", []string{"aggregate/x_test.go:2: has an init function"}},
		{"a method called init", "internal/cli/x.go", "type a int\nfunc (a) init() {}", nil},
		{"a test that skips", "aggregate/x_test.go", "func TestX(t *testing.T) { t.Skip() }", []string{"aggregate/x_test.go:2: uses t.Skip: a test that is skipped shows nothing"}},
		{"a test that is short", "aggregate/x_test.go", "import \"testing\"\nvar short = testing.Short", []string{"aggregate/x_test.go:3: uses testing.Short: a test that is skipped shows nothing"}},
		{"a test helper that skips", "internal/nixtest/x.go", "func f(tb testing.TB) { tb.Skipf(\"no nix\") }", []string{"internal/nixtest/x.go:2: uses tb.Skipf: a test that is skipped shows nothing"}},
		{"a goroutine in what only computes", "aggregate/x.go", "func f() { go f() }", []string{"aggregate/x.go:2: starts a goroutine, and aggregate only computes: make test runs such packages without the race detector"}},
		{"a goroutine in a test of it", "backup/restic/x_test.go", "func TestX(t *testing.T) { t.Parallel() }", []string{"backup/restic/x_test.go:2: uses t.Parallel: make test runs packages that only compute without the race detector"}},
		{"a goroutine elsewhere", "nixbridge/x_test.go", "func TestX(t *testing.T) { t.Parallel(); go f() }", nil},
		{"tests import what they like", "x_test.go", `import ("os"; "github.com/google/go-cmp/cmp"; "` + module + `/aggregate")`, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(tc.want, check(tc.file, []byte("package x\n"+tc.src+"\n"))))
		})
	}
	require.NotEmpty(t, check("aggregate/x.go", []byte("package x\nimport\n")), "what is no Go")
}

// No row of the table shadows another, and every pattern means something.
func TestLayers(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range layers {
		require.False(t, seen[l.dir], l.dir)
		seen[l.dir] = true
		require.False(t, l.pure && l.starts, l.dir)
		for _, dir := range l.ours {
			_, known := layerOf(strings.ReplaceAll(dir, "*", "any"))
			require.True(t, known || seen[dir], "%s may import %s, which is not in the table", l.dir, dir)
		}
	}
	for _, dir := range []string{".", "dataset", "aggregate", "nixbridge", "internal/run", "internal/cli", "cmd/stateward"} {
		_, ok := layerOf(dir)
		require.True(t, ok, dir)
	}
}

// listed are the words of a variable of the Makefile.
func listed(t *testing.T, variable string) []string {
	t.Helper()
	text, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	_, list, ok := strings.Cut(string(text), "\n"+variable+" := ")
	require.True(t, ok, variable)
	list, _, _ = strings.Cut(list, "\n")
	return strings.Fields(list)
}

// What make test runs without the race detector is pure, and so starts no goroutine: there is nothing to detect.
func TestOnlyWhatComputesGoesWithoutTheRaceDetector(t *testing.T) {
	for _, dir := range listed(t, "PURE") {
		tree, below := strings.CutSuffix(path.Clean(dir), "/...")
		l, ok := layerOf(tree)
		require.True(t, ok && l.pure, dir)
		for _, l := range layers {
			require.True(t, l.pure || !below || !strings.HasPrefix(l.dir, tree+"/"), "%s is below %s", l.dir, dir)
		}
	}
}

// A test that make test leaves out with the race detector is run without it: its name is that of one test, in a package that is listed.
func TestWhatGoesWithoutTheRaceDetectorIsRun(t *testing.T) {
	in := map[string][]string{}
	require.NoError(t, filepath.WalkDir("../..", func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w*)\(`).FindAllSubmatch(text, -1) {
			in[string(m[1])] = append(in[string(m[1])], "./"+filepath.ToSlash(strings.TrimPrefix(filepath.Dir(name), "../../")))
		}
		return err
	}))
	var packages []string
	for _, name := range listed(t, "PLAIN") {
		require.Len(t, in[name], 1, name)
		packages = append(packages, in[name]...)
	}
	slices.Sort(packages)
	want := listed(t, "PLAINPACKAGES")
	slices.Sort(want)
	require.Equal(t, want, slices.Compact(packages))
}
