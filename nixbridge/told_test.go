package nixbridge_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/nixbridge"
)

// What people get wrong often is told in the words of their own files, with what to write.
func TestCommonFailuresAreToldWithAMend(t *testing.T) {
	const systemHint = `a flake is evaluated purely, and sees nothing of this machine: name the system, such as "x86_64-linux", or allow it with --impure`
	const lockHint = "write flake.lock once with `nix flake lock`, or let nix fetch with --online"
	flake := func(host string) map[string]string {
		return map[string]string{"flake.nix": "{ outputs = _: { nixosConfigurations.a = " + host + "; }; }\n", "hosts/b.nix": "{ }"}
	}
	two := map[string]string{"flake.nix": `{
  inputs.dep = { url = "github:someone/dep"; };
  # inputs.old.url = "github:someone/old";
  inputs.other.url = "https://stateward.invalid/o.tar.gz";
  outputs = { self, dep, other }: { nixosConfigurations.a.config.test = dep.x + other.x; };
}
`, "dep/flake.nix": "{ outputs = _: { x = 1; }; }"}
	for name, tc := range map[string]struct {
		files     map[string]string
		arg       string
		impure    bool
		overrides []nixbridge.InputOverride
		// want begins the message.
		want, hint string
		kind       nixbridge.Kind
	}{
		"a file that is nowhere":           {files: flake("import ./hosts/typo.nix"), want: "hosts/typo.nix is not there", hint: "check the spelling where it is read or imported", kind: nixbridge.MissingFile},
		"a file that is nowhere, of files": {files: map[string]string{"hosts.nix": "{ a = import ./typo.nix; }"}, arg: "hosts.nix", want: "typo.nix is not there", hint: "check the spelling where it is read or imported", kind: nixbridge.MissingFile},
		"a list of hosts":                  {files: map[string]string{"flake.nix": "{ outputs = _: { nixosConfigurations = [ ]; }; }"}, want: "DIR has no hosts: nixosConfigurations is of type list, and no set of hosts", hint: "hosts are read from `nixosConfigurations`", kind: nixbridge.MissingAttribute},
		"the system":                       {files: flake("import (./. + builtins.currentSystem)"), want: "attribute 'currentSystem' missing", hint: systemHint, kind: nixbridge.MissingAttribute},
		"the search path":                  {files: flake("import <secrets/x.nix>"), want: "<secrets/x.nix> is not in the search path of nix", hint: "make it an input of the flake, or name its folder with --impure --option nix-path secrets=DIR", kind: nixbridge.MissingFile},
		"the search path, impure":          {files: flake("import <secrets/x.nix>"), impure: true, want: "<secrets/x.nix> is not in the search path of nix", hint: "name its folder with --option nix-path secrets=DIR", kind: nixbridge.MissingFile},
		"the search path, of files":        {files: map[string]string{"hosts.nix": "{ a = import <secrets/x.nix>; }"}, arg: "hosts.nix", want: "<secrets/x.nix> is not in the search path of nix", hint: "name its folder with --option nix-path secrets=DIR", kind: nixbridge.MissingFile},
		"an input that is not locked":      {files: two, want: `flake input "dep" is not locked, so nix looks for it anew: `, hint: lockHint, kind: nixbridge.Network},
		"the other of two":                 {files: two, overrides: []nixbridge.InputOverride{{Name: "dep", Ref: "path:DIR/dep"}}, want: `flake input "other" is not locked, so nix looks for it anew: `, hint: lockHint, kind: nixbridge.Network},
	} {
		t.Run(name, func(t *testing.T) {
			eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
				dir, err := filepath.EvalSymlinks(folder(t, tc.files))
				require.NoError(t, err)
				e = &nixbridge.Evaluator{Nix: e.Nix, CacheDir: privateDir(t), Timeout: e.Timeout, Dialects: e.Dialects, Impure: tc.impure}
				for _, o := range tc.overrides {
					e.OverrideInputs = append(e.OverrideInputs, nixbridge.InputOverride{Name: o.Name, Ref: "path:" + filepath.Join(dir, "dep")})
				}
				ev, err := e.Evaluate(t.Context(), source(t, filepath.Join(dir, tc.arg)))
				if err == nil {
					err = ev.Hosts[0].Err
				}
				require.Error(t, err)
				want := tc.want
				if rest, ok := cutDir(want); ok {
					want = dir + rest
				}
				require.Contains(t, err.Error(), want)
				require.Equal(t, tc.kind, nixbridge.KindOf(err))
				var h nixbridge.Hinter
				require.True(t, errors.As(err, &h))
				require.Equal(t, tc.hint, h.Hint())
			})
		})
	}
}

func cutDir(s string) (string, bool) {
	if len(s) > 3 && s[:3] == "DIR" {
		return s[3:], true
	}
	return s, false
}

// With the file's folder named, it is found.
func TestSearchPathIsNamedWithAnOption(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		secrets := folder(t, map[string]string{"x.nix": "{ config.test = { }; }"})
		for _, arg := range []string{"flake.nix", "hosts.nix"} {
			dir := folder(t, map[string]string{"flake.nix": "{ outputs = _: { nixosConfigurations.a = import <secrets/x.nix>; }; }", "hosts.nix": "{ a = import <secrets/x.nix>; }"})
			e := &nixbridge.Evaluator{Nix: e.Nix, CacheDir: privateDir(t), Timeout: e.Timeout, Dialects: e.Dialects, NixOptions: []nixbridge.NixOption{{Name: "nix-path", Value: "secrets=" + secrets}}}
			if arg == "flake.nix" {
				e.Impure, arg = true, "."
			}
			ev, err := e.Evaluate(t.Context(), source(t, filepath.Join(dir, arg)))
			require.NoError(t, err)
			require.NoError(t, ev.Hosts[0].Err)
		}
	})
}
