package nixbridge_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/golden"
	"github.com/stateward/stateward/nixbridge"
)

// exitOf says how nix ended, and whether there is a trace of where the error came from, which is cut where it is endless.
func exitOf(t *testing.T, err error) string {
	t.Helper()
	var ee *nixbridge.EvalError
	var me *nixbridge.MemoryError
	var se *nixbridge.StackError
	var ce *nixbridge.CrashError
	status := func(s nixbridge.ExitStatus) string {
		if s.Signal != 0 {
			return s.Signal.String()
		}
		return fmt.Sprint(s.Code)
	}
	switch {
	case errors.As(err, &ee):
		require.LessOrEqual(t, len(ee.Trace), 64<<10)
		require.NotContains(t, ee.Trace, "\x1b")
		if ee.Trace == "" {
			return fmt.Sprintf("%d, no trace", ee.ExitCode)
		}
		return fmt.Sprintf("%d, with a trace", ee.ExitCode)
	case errors.As(err, &me):
		return status(me.Exit)
	case errors.As(err, &se):
		return status(se.Exit)
	case errors.As(err, &ce):
		return status(ce.Exit)
	}
	return "none"
}

// The kinds that are no error of one value: of the source, of what it needs, of the machine, and of the caller.
func TestErrorsOfSourcesHaveKinds(t *testing.T) {
	lock := func(version int, locked string) map[string]string {
		return map[string]string{"flake.nix": withInputs(`dep.url = "github:o/r";`, "inputs.dep.text"), "flake.lock": lockOf(version, locked, `{"owner":"o","repo":"r","type":"github"}`)}
	}
	host := func(expr string) map[string]string {
		return map[string]string{"host.nix": "{ config = " + expr + "; }\n"}
	}
	cases := []struct {
		name  string
		want  nixbridge.Kind
		files map[string]string
		arg   string
		// dies is what a nix does that lists the hosts and is to evaluate one.
		dies string
	}{
		{"lock file that is no JSON", nixbridge.LockFile, map[string]string{"flake.nix": oneHost(`""`), "flake.lock": "{"}, "DIR", ""},
		{"lock file of the future", nixbridge.LockFile, lock(99, githubLock), "DIR", ""},
		{"network", nixbridge.Network, map[string]string{"flake.nix": withInputs(`dep.url = "https://stateward.invalid/dep.tar.gz";`, "inputs.dep.text")}, "DIR", ""},
		{"not a flake", nixbridge.NotFlake, map[string]string{"x": ""}, "DIR", ""},
		{"no folder", nixbridge.NotFlake, nil, "DIR/nope", ""},
		{"no hosts", nixbridge.MissingAttribute, map[string]string{"flake.nix": "{ outputs = _: { }; }\n"}, "DIR", ""},
		{"syntax of flake.nix", nixbridge.Syntax, map[string]string{"flake.nix": "{\n  outputs = ;\n}\n"}, "DIR", ""},
		{"import from derivation", nixbridge.ImportFromDerivation, map[string]string{"flake.nix": `{ outputs = _: { nixosConfigurations.a = import (derivation { name = "x"; system = "x86_64-linux"; builder = "/bin/sh"; }); }; }`}, "DIR", ""},
		{"out of memory", nixbridge.OutOfMemory, host("builtins.foldl' (l: _: l ++ l) [ 1 ] (builtins.genList (x: x) 40)"), "DIR/host.nix", ""},
		{"stack overflow by a signal", nixbridge.StackOverflow, host("{ test = { }; }"), "DIR/host.nix", "kill -SEGV $$"},
		{"crash by a signal", nixbridge.Crash, host("{ test = { }; }"), "DIR/host.nix", "kill -ABRT $$"},
		{"crash", nixbridge.Crash, host("{ test = { }; }"), "DIR/host.nix", "exit 7"},
		{"time-out", nixbridge.Timeout, host("builtins.foldl' (a: b: a + b) 0 (builtins.genList (i: builtins.length (builtins.genList (j: j) 100000)) 100000000)"), "DIR/host.nix", ""},
		{"canceled", nixbridge.Canceled, host("builtins.foldl' (a: b: a + b) 0 (builtins.genList (i: builtins.length (builtins.genList (j: j) 100000)) 100000000)"), "DIR/host.nix", ""},
		{"nix not found", nixbridge.NixNotFound, host("{ }"), "DIR/host.nix", ""},
		{"nix too old", nixbridge.NixTooOld, host("{ }"), "DIR/host.nix", ""},
	}
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		ev, err := e.Evaluate(t.Context(), source(t, "testdata/hosts.nix#good"))
		require.NoError(t, err, "nix is needed: run `make deps`")
		minor := strings.Join(strings.SplitN(ev.Nix, ".", 3)[:2], ".")
		var b strings.Builder
		for _, tc := range cases {
			dir := folder(t, tc.files)
			e := &nixbridge.Evaluator{Nix: e.Nix, CacheDir: privateDir(t), Timeout: e.Timeout, Dialects: e.Dialects}
			ctx, cancel := context.WithCancel(t.Context())
			switch tc.name {
			case "out of memory":
				e.MaxHeap = 64 << 20
			case "time-out":
				e.Timeout = 1500 * time.Millisecond
			case "nix not found":
				e.Nix = "no-such-nix"
			case "nix too old":
				e.Nix = script(t, "echo 'nix (Nix) 2.3.16'")
			case "canceled":
				e.Progress = func(ev nixbridge.Event) {
					if ev.Kind == nixbridge.EventStart {
						cancel()
					}
				}
			}
			if tc.dies != "" {
				e.Nix = script(t, `case "$*" in *sections*) `+tc.dies+` ;; esac; exec `+cmp.Or(e.Nix, "nix")+` "$@"`)
			}
			ev, err := e.Evaluate(ctx, source(t, strings.ReplaceAll(tc.arg, "DIR", dir)))
			cancel()
			if err == nil {
				err = ev.Hosts[0].Err
			}
			require.Error(t, err, tc.name)
			require.ErrorIs(t, err, tc.want, tc.name)
			k := nixbridge.KindOf(err)
			text := func(s string) string {
				s = strings.ReplaceAll(strings.ReplaceAll(s, dir, "DIR"), "\n", "\n  ")
				if e.Nix != "" {
					s = strings.ReplaceAll(s, e.Nix, "NIX")
				}
				return milliseconds.ReplaceAllString(inStore.ReplaceAllString(s, "source"), "after N ms")
			}
			fmt.Fprintf(&b, "%s: %s\n  %s\n", tc.name, k, text(err.Error()))
			var hint nixbridge.Hinter
			if errors.As(err, &hint) && hint.Hint() != "" {
				fmt.Fprintf(&b, "  hint: %s\n", text(hint.Hint()))
			}
			fmt.Fprintf(&b, "  exit: %s\n", exitOf(t, err))
			require.NotContains(t, err.Error(), e.CacheDir)
			require.Empty(t, processes(t, e.CacheDir))
		}
		// The words are those of the version; of one that is not known here the kinds must do.
		file := filepath.Join("testdata/errors", minor+"-sources.txt")
		if _, err := os.Stat(file); err == nil || golden.Updating() {
			golden.Compare(t, file, []byte(b.String()))
		}
	})
}
