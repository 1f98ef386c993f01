package nixbridge_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/nixbridge"
)

// The numbers of Lix are not those of Nix, and no program is taken for nix that does not say so.
func TestVersionsAreParsed(t *testing.T) {
	for _, tc := range []struct{ printed, want string }{
		{"nix (Nix) 2.8.0", "2.8.0"},
		{"nix (Nix) 2.34.8\n", "2.34.8"},
		{"nix (Nix) 2.18", "2.18"},
		{"nix (Nix) 3.0.0", "3.0.0"},
		{"nix (Nix) 2.35pre20260101_abcdef", "2.35pre20260101_abcdef"},
		{"nix (Nix) 2.26.3+dfsg-1~bpo", "2.26.3+dfsg-1~bpo"},
		{"nix (Lix, like Nix) 2.93.3", "2.93.3 (Lix)"},
		{"nix (Lix, like Nix) 2.93.3\nSystem type: x86_64-linux\nAdditional system types: i686-linux\n", "2.93.3 (Lix)"},
		{"nix (Lix, like Nix) 2.90.0-beta.1-lixpre20240506-b6799ab", "2.90.0-beta.1-lixpre20240506-b6799ab (Lix)"},
		{"nix (Lix, like Nix) 2.96.0-dev-pre20260712-049cc4e", "2.96.0-dev-pre20260712-049cc4e (Lix)"},
		{"nix (Determinate Nix 3.6.2) 2.29.0", "2.29.0 (Determinate Nix 3.6.2)"},
		{"warning: something of a wrapper\nnix (Nix) 2.24.1", "2.24.1"},

		{"nix (Nix) 2.3.16", ""},
		{"nix (Nix) 2.7.0", ""},
		{"nix (Nix) 2.4pre20211006_53e4794", ""},
		{"nix (Nix) 1.11.16", ""},
		{"nix (Determinate Nix 3.6.2) 2.7.0", ""},
		{"nix (Tvix) 0.1.0", ""},
		{"snix-cli 0.1.0", ""},
		{"tvix 2.90.0", ""},
		{"hello (GNU Hello) 2.12", ""},
		{"GNU bash, version 5.2.15(1)-release (x86_64-pc-linux-gnu)", ""},
		{"nix (Nix) unknown", ""},
		{"nix (Nix) 99999999999999999999.1", ""},
		{"nix-env (Nix) 2.24.1", ""},
		{"nix 2.24.1", ""},
		{"2.24.1", ""},
		{"", ""},
	} {
		got, ok := nixbridge.ParseVersion(tc.printed)
		if d := cmp.Diff(tc.want, got); d != "" || ok != (tc.want != "") {
			t.Errorf("%q: %t\n%s", tc.printed, ok, d)
		}
	}
}

func FuzzVersion(f *testing.F) {
	f.Add("nix (Nix) 2.8.0")
	f.Add("nix (Lix, like Nix) 2.93.3\nx")
	f.Add("nix (\x1b) 2.8")
	f.Fuzz(func(t *testing.T, s string) {
		if v, ok := nixbridge.ParseVersion(s); ok != (v != "") || strings.ContainsAny(v, "\n\x1b") {
			t.Errorf("%q", v)
		}
	})
}

// script writes a program into a new folder.
func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(folder(t, map[string]string{"nix": "#!/bin/sh\n" + text + "\n"}), "nix")
	require.NoError(t, os.Chmod(file, 0o755))
	return file
}

func TestProgramsThatAreNoNix(t *testing.T) {
	src := source(t, "testdata/hosts.nix#good")
	dir := folder(t, map[string]string{"noexec": ""})
	for _, nix := range []string{"no-such-nix", filepath.Join(dir, "missing"), filepath.Join(dir, "noexec"), dir} {
		_, err := (&nixbridge.Evaluator{Nix: nix, CacheDir: privateDir(t)}).Evaluate(t.Context(), src)
		var nf *nixbridge.NotFoundError
		require.ErrorAs(t, err, &nf, nix)
		require.NotEmpty(t, nf.Hint())
	}
	for name, tc := range map[string]struct{ text, want, hint string }{
		"too old":             {"echo 'nix (Nix) 2.3.16'", `NIX is "nix (Nix) 2.3.16", not nix 2.8 or newer`, "name a newer nix with --nix"},
		"a little too old":    {"echo 'nix (Nix) 2.7.0'", `NIX is "nix (Nix) 2.7.0", not nix 2.8 or newer`, "name a newer nix with --nix"},
		"something else":      {"echo hello 2.12", `NIX is "hello 2.12", not nix 2.8 or newer`, "name a newer nix with --nix"},
		"nothing":             {"true", `NIX is "", not nix 2.8 or newer`, "name a newer nix with --nix"},
		"it fails":            {"echo starting >&2; echo 'nix: error while loading shared libraries: libnix.so' >&2; exit 127", "NIX does not say its version: nix: error while loading shared libraries: libnix.so", "see whether `NIX --version` works, or name another nix with --nix"},
		"it fails and is mum": {"exit 3", "NIX does not say its version: nix exited with status 3", "see whether `NIX --version` works, or name another nix with --nix"},
		"it hangs":            {"sleep 60 & wait", "NIX did not say its version within 300ms", "see whether `NIX --version` works, or name another nix with --nix"},
		"it floods":           {"yes nix", "NIX did not say its version within 300ms", "see whether `NIX --version` works, or name another nix with --nix"},
	} {
		t.Run(name, func(t *testing.T) {
			nix := script(t, tc.text)
			e := &nixbridge.Evaluator{Nix: nix, CacheDir: privateDir(t)}
			e.SetPatience(300 * time.Millisecond)
			began := time.Now()
			_, err := e.Evaluate(t.Context(), src)
			var ve *nixbridge.VersionError
			require.ErrorAs(t, err, &ve)
			require.ErrorIs(t, err, nixbridge.NixTooOld)
			require.Less(t, time.Since(began), 10*time.Second)
			if name != "it floods" { // it may be too much before it is too long
				require.Equal(t, tc.want, strings.ReplaceAll(ve.Error(), nix, "NIX"))
				require.Equal(t, tc.hint, strings.ReplaceAll(ve.Hint(), nix, "NIX"))
			}
			require.Empty(t, processes(t, e.CacheDir))
		})
	}
}

// A nix of another make is run as any other, and named in what it evaluates; one that needs a home and a user has them.
func TestOtherMakesOfNix(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		nix := e.Nix
		if nix == "" {
			nix = "nix"
		}
		e.Nix = script(t, `[ -n "$HOME" ] && [ -d "$HOME" ] && [ -w "$HOME" ] && [ -n "$USER" ] || { echo 'error: cannot determine your home directory' >&2; exit 1; }
if [ "$1" = --version ]; then echo 'nix (Lix, like Nix) 2.93.3'; else exec `+nix+` "$@"; fi`)
		ev, err := e.Evaluate(t.Context(), source(t, "testdata/hosts.nix#good"))
		require.NoError(t, err)
		require.NoError(t, ev.Hosts[0].Err)
		require.Equal(t, "2.93.3 (Lix)", ev.Nix)

		// What it lacks is not taken for something that a greater number has.
		_, err = e.Evaluate(t.Context(), source(t, newerFlake(t)))
		var ee *nixbridge.EvalError
		require.ErrorAs(t, err, &ee)
		require.Equal(t, "the flake needs what nix 2.93.3 (Lix) does not have: name another nix with --nix", ee.Hint())
	})
}

// newerFlake has an attribute that no nix knows yet.
func newerFlake(t *testing.T) string {
	return "path:" + folder(t, map[string]string{"flake.nix": `{ ins = { }; outputs = { self }: { nixosConfigurations.a.config = { }; }; }`})
}

// What the module system calls unsupported, and what a set of the configuration lacks, is no reason to look for a newer nix.
func TestNewerNixIsNotAskedForInVain(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		_, err := e.Evaluate(t.Context(), source(t, newerFlake(t)))
		var ee *nixbridge.EvalError
		require.ErrorAs(t, err, &ee)
		require.Contains(t, ee.Hint(), "the flake needs a nix newer than ")
		for text, old := range map[string]bool{
			`throw "Module ` + "`:anon-1' has an unsupported attribute `programs'. This is caused by introducing a top-level `config' or `options' attribute" + `."`: false,
			`throw "unsupported tarball input attribute 'lastModified'"`: false,
			`{ }.warn "text" 1`: true,
		} {
			ev, err := e.Evaluate(t.Context(), source(t, filepath.Join(folder(t, map[string]string{"hosts.nix": `{ config = ` + text + `; }`}), "hosts.nix")))
			require.NoError(t, err)
			require.ErrorAs(t, ev.Hosts[0].Err, &ee, text)
			// nix 2.8 does not tell what was thrown from what it says itself.
			is28 := strings.HasPrefix(ev.Nix, "2.8.")
			if want := old && is28; want || !is28 {
				require.Equal(t, want, ee.Hint() != "", "%s: %s", text, ee.Hint())
			}
		}
	})
}
