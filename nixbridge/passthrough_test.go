package nixbridge_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/nixbridge"
)

// thisSystem is how nix calls the machine.
var thisSystem = map[string]string{"amd64": "x86_64-linux", "arm64": "aarch64-linux"}[runtime.GOARCH]

func TestImpureReadsTheMachineAndNothingOfTheCaller(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		t.Setenv("AWS_SECRET_ACCESS_KEY", "canary-of-the-caller")
		outside := filepath.Join(folder(t, map[string]string{"hardware.nix": `"from outside"`}), "hardware.nix")
		dir := folder(t, map[string]string{"flake.nix": `{ outputs = { self }: {
			packages.aarch64-linux = throw "packages are not looked at";
			nixosConfigurations.a.config = { test.a.text = import ` + outside + `; tree = {
				system = builtins.currentSystem or "none"; time = builtins ? currentTime;
				secret = builtins.getEnv "AWS_SECRET_ACCESS_KEY"; home = builtins.getEnv "HOME"; }; }; }; }`})

		h := evaluate(t, e, dir)
		us := unknowns(t, h)
		require.Len(t, us, 1, "a flake is pure unless it is asked for")
		require.Contains(t, us[0], "test.a.text [abort]")
		require.Equal(t, "none", root(t, h).Root().At("tree", "system").Text().Or(""))

		var reasons []string
		e.Progress = func(ev nixbridge.Event) {
			if ev.Kind == nixbridge.EventUncached || ev.Kind == nixbridge.EventCached {
				reasons = append(reasons, string(ev.Kind)+" "+ev.Host+ev.Reason)
			}
		}
		e.Impure = true
		for range 2 {
			h = evaluate(t, e, dir)
			tree := root(t, h).Root().At("tree")
			require.Equal(t, "from outside", root(t, h).Root().At("test", "a", "text").Text().Or(""))
			require.Equal(t, thisSystem, tree.At("system").Text().Or(""), "that of the machine")
			require.True(t, tree.At("time").Bool().Or(false))
			require.Empty(t, tree.At("secret").Text().Or("?"))
			require.Equal(t, filepath.Join(e.CacheDir, "home"), tree.At("home").Text().Or(""))
		}
		const why = "uncached --impure may read anything on this machine"
		require.Equal(t, []string{why, why}, reasons)
	})
}

func TestImpureLeavesPackagesAlone(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		e.Impure = true
		h, err := e.Evaluate(t.Context(), source(t, twoHostsFlake(t)+"#forge"))
		if e.Nix != "" && strings.HasSuffix(e.Nix, "-bookworm") || err != nil {
			// It has one setting for the packages that it looks through and for builtins.currentSystem.
			require.ErrorContains(t, err, "packages are broken")
			return
		}
		require.NoError(t, h.Hosts[0].Err)
	})
}

// overridden is a flake with two inputs, neither of which is what the lock file says.
func overridden(t *testing.T) string {
	base, err := filepath.EvalSymlinks(folder(t, map[string]string{
		"old/flake.nix":     `{ outputs = _: { text = "old"; }; }`,
		"new/flake.nix":     `{ outputs = { self }: { text = "new"; }; }`,
		"linked/flake.nix":  `{ inputs.deep.url = "github:o/deep"; outputs = { self, deep }: { text = "linked"; deep = deep.text; }; }`,
		"odd #1/flake.nix":  `{ outputs = _: { text = "odd"; deep = "-"; }; }`,
		"deep/flake.nix":    `{ outputs = _: { text = "deep"; }; }`,
		"plain/text.nix":    `"plain"`,
		"repo/in/flake.nix": `{ outputs = _: { text = "in a repository"; deep = import ../deep.nix; }; }`,
		"repo/deep.nix":     `"beside it"`,
	}))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(base, "linked/flake.lock"), []byte(`{"nodes":{"deep":{"locked":{"lastModified":1,"narHash":"`+narHash(t, filepath.Join(base, "deep"))+
		`","owner":"o","repo":"deep","rev":"de42d44212d207476489bce163375d8306a26d59","type":"github"},"original":{"owner":"o","repo":"deep","type":"github"}},
		"root":{"inputs":{"deep":"deep"}}},"root":"root","version":7}`), 0o644))
	require.NoError(t, os.MkdirAll(filepath.Join(base, "main"), 0o755))
	lock := `{"nodes":{"dep":{"locked":{"lastModified":1,"narHash":"` + narHash(t, filepath.Join(base, "old")) +
		`","owner":"o","repo":"old","rev":"de42d44212d207476489bce163375d8306a26d59","type":"github"},"original":{"owner":"o","repo":"old","type":"github"}},
		"root":{"inputs":{"dep":"dep"}}},"root":"root","version":7}`
	require.NoError(t, os.WriteFile(filepath.Join(base, "main/flake.lock"), []byte(lock), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(base, "main/flake.nix"), []byte(`{ inputs.dep.url = "github:o/old"; outputs = { self, dep }: {
		nixosConfigurations.a.config.test.a.text = "${dep.text} ${dep.deep or "-"}"; }; }`), 0o644))
	git(t, filepath.Join(base, "repo"), "init", "-q")
	git(t, filepath.Join(base, "repo"), "add", ".")
	return base
}

func TestInputsAreOverridden(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		base := overridden(t)
		machine := t.TempDir()
		e.SetMachineStore(machine)
		for _, dir := range []string{"old", "deep"} {
			path, err := nixbridge.SourceStorePath(narHash(t, filepath.Join(base, dir)))
			require.NoError(t, err)
			require.NoError(t, os.CopyFS(filepath.Join(machine, filepath.Base(path)), os.DirFS(filepath.Join(base, dir))))
		}
		t.Chdir(filepath.Join(base, "main"))
		lock, err := os.ReadFile("flake.lock")
		require.NoError(t, err)
		text := func() string { return root(t, evaluate(t, e, ".")).Root().At("test", "a", "text").Text().Or("") }
		require.Equal(t, "old -", text())
		for _, tc := range []struct{ ref, want string }{
			{"path:../new", "new -"},
			{"../new", "new -"},
			{filepath.Join(base, "new"), "new -"},
			{"path:" + base + "/odd%20%231", "odd -"},
			{"../odd #1", "odd -"},
			{"../repo/in", "in a repository beside it"},
			{"git+file://" + base + "/repo?dir=in", "in a repository beside it"},
		} {
			t.Run(strings.ReplaceAll(tc.ref, base, ""), func(t *testing.T) {
				e.OverrideInputs = []nixbridge.InputOverride{{Name: "dep", Ref: tc.ref}}
				var reasons []string
				e.Progress = func(ev nixbridge.Event) {
					if ev.Kind == nixbridge.EventUncached {
						reasons = append(reasons, ev.Reason)
					}
				}
				if _, err := e.Evaluate(t.Context(), source(t, ".")); err != nil && strings.Contains(tc.want, "odd") {
					require.ErrorContains(t, err, "it lies in a folder that nix 2.8.")
					return
				}
				reasons = nil
				require.Equal(t, tc.want, text())
				require.Equal(t, []string{"--override-input takes an input from elsewhere than flake.lock says"}, reasons)
			})
		}
		e.Progress = nil

		// Older nix look for the inputs of an overriding flake anew.
		e.OverrideInputs = []nixbridge.InputOverride{{Name: "dep", Ref: "path:../linked"}}
		if _, err := e.Evaluate(t.Context(), source(t, ".")); err != nil {
			require.ErrorIs(t, err, nixbridge.Network)
			require.ErrorContains(t, err, "a flake input cannot be had offline")
			var hint nixbridge.Hinter
			require.ErrorAs(t, err, &hint)
			require.Contains(t, hint.Hint(), "name a newer nix")
			require.False(t, strings.HasSuffix(e.Nix, "-sid"), "2.34 reads the lock file")
		} else {
			require.Equal(t, "linked deep", text())
		}
		e.OverrideInputs = nil
		require.Equal(t, "old -", text(), "nothing of an override is left behind")
		after, err := os.ReadFile("flake.lock")
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(string(lock), string(after)), "the lock file is not written")
	})
}

// What cannot be passed on is refused, with the reason, and nothing is evaluated as if it had not been asked for.
func TestWhatIsRefused(t *testing.T) {
	type ov = nixbridge.InputOverride
	type opt = nixbridge.NixOption
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		base := overridden(t)
		t.Chdir(base)
		saved := filepath.Join(base, "saved.json")
		require.NoError(t, os.WriteFile(saved, []byte(`{}`), 0o644))
		host := filepath.Join(base, "host.nix")
		require.NoError(t, os.WriteFile(host, []byte(`{ config.test = { }; }`), 0o644))
		flake := folder(t, map[string]string{"flake.nix": `{ outputs = _: { nixosConfigurations.a.config.test = { }; }; }`})
		for name, tc := range map[string]struct {
			src       string
			impure    bool
			overrides []ov
			options   []opt
			want      string
		}{
			"a saved evaluation":          {src: saved, impure: true, want: "--impure: a saved evaluation is read, not evaluated"},
			"inputs of a file":            {src: host, overrides: []ov{{"dep", "path:./new"}}, want: "--override-input dep: a .nix file has no flake inputs"},
			"an input that is none":       {src: flake, overrides: []ov{{"nope", "path:./new"}}, want: "--override-input nope: the flake has no such input"},
			"no name":                     {src: flake, overrides: []ov{{"-x", "path:./new"}}, want: `--override-input -x: "-x" is no name of an input`},
			"no reference":                {src: flake, overrides: []ov{{"dep", ""}}, want: `--override-input dep: "" is no flake reference`},
			"twice":                       {src: flake, overrides: []ov{{"dep", "./new"}, {"dep", "./old"}}, want: "--override-input dep: it is given twice"},
			"a foreign reference":         {src: flake, overrides: []ov{{"dep", "github:o/r"}}, want: "--override-input dep: github:o/r is not on this machine"},
			"a registry entry":            {src: flake, overrides: []ov{{"dep", "nixpkgs"}}, want: "--override-input dep: nixpkgs is not on this machine"},
			"a folder that is not there":  {src: flake, overrides: []ov{{"dep", "path:./nope"}}, want: "--override-input dep: path:./nope is not there"},
			"store":                       {src: flake, options: []opt{{"store", "/tmp/x"}}, want: "--option store: stateward chooses the store itself, so that nothing is written outside of its private folder"},
			"system":                      {src: flake, options: []opt{{"system", "x"}}, want: "--option system: stateward sets it itself, so that a flake's packages are left alone"},
			"a list":                      {src: flake, options: []opt{{"extra-plugin-files", "x"}}, want: "--option extra-plugin-files: it would run a program"},
			"fetching after all":          {src: flake, options: []opt{{"substitute", "true"}}, want: "--option substitute: it lets nix fetch, and without --online nothing is fetched"},
			"fetching once more":          {src: flake, options: []opt{{"download-attempts", "5"}}, want: "--option download-attempts: it lets nix fetch, and without --online nothing is fetched"},
			"another folder":              {src: flake, options: []opt{{"build-dir", "/tmp/x"}}, want: "--option build-dir: nix would write outside of the private folder"},
			"what a build leaves":         {src: flake, options: []opt{{"keep-failed", "true"}}, want: "--option keep-failed: what a build left would stay behind, with what it read"},
			"adding to no list":           {src: flake, options: []opt{{"extra-warn-dirty", "false"}}, want: "--option extra-warn-dirty: warn-dirty is no list that could be added to"},
			"no option":                   {src: flake, options: []opt{{"--json", "x"}}, want: `--option --json: "--json" is no name of an option of nix`},
			"an option that is not there": {src: flake, options: []opt{{"json", "x"}}, want: "--option json: nix VERSION has no such setting"},
			"a wrong value":               {src: flake, options: []opt{{"warn-dirty", "perhaps"}}, want: `--option warn-dirty: nix VERSION does not take "perhaps"`},
			"a wrong feature":             {src: flake, options: []opt{{"extra-experimental-features", "time-travel"}}, want: `--option extra-experimental-features: nix VERSION does not take "time-travel"`},
			"a build for a file":          {src: host, options: []opt{{"allow-import-from-derivation", "true"}}, want: "--option allow-import-from-derivation: nothing can be built for a .nix file: the store that it is evaluated with holds nothing"},
		} {
			t.Run(name, func(t *testing.T) {
				e.Impure, e.OverrideInputs, e.NixOptions = tc.impure, tc.overrides, tc.options
				_, err := e.Read(t.Context(), source(t, tc.src), nil)
				var re *nixbridge.RefusedError
				require.ErrorAs(t, err, &re)
				got := re.Error()
				if i := strings.Index(got, "nix 2."); i >= 0 {
					_, rest, _ := strings.Cut(got[i+len("nix "):], " ")
					got = got[:i] + "nix VERSION " + rest
				}
				require.Equal(t, tc.want, got)
			})
		}
	})
}

func TestOptionsReachNix(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		dir := folder(t, map[string]string{"flake.nix": `{ outputs = { self }: { nixosConfigurations.a.config = { tree = 1;
			test.a.text = import (derivation { name = "x"; system = "` + thisSystem + `"; builder = "/no/such/builder"; }); }; }; }`})
		h := evaluate(t, e, dir)
		us := unknowns(t, h)
		require.Len(t, us, 1)
		require.Contains(t, us[0], "nothing is built here")
		e.NixOptions = []nixbridge.NixOption{{Name: "allow-import-from-derivation", Value: "true"}, {Name: "build-users-group", Value: ""}}
		h = evaluate(t, e, dir)
		us = unknowns(t, h)
		require.Len(t, us, 1)
		require.Contains(t, us[0], "it was allowed to be built, and the private store lacks what that needs")
		require.Equal(t, 1, root(t, h).Root().At("tree").Int().Or(0))
		if os.Geteuid() == 0 {
			// Where the group is missing that root builds with, some nix end before they begin to build.
			e.NixOptions[1].Value = "no-such-group"
			us = unknowns(t, evaluate(t, e, dir))
			require.Len(t, us, 1)
			require.Regexp(t, "have root itself build with --option build-users-group ''|the private store lacks what that needs", us[0])
		}
	})
}

// What was asked of nix goes with the evaluation, so that its findings are not taken for those of the source itself.
func TestSavedEvaluationSaysWhatWasAsked(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		base := overridden(t)
		t.Chdir(filepath.Join(base, "main"))
		e.SetMachineStore(t.TempDir())
		e.Impure = true
		e.OverrideInputs = []nixbridge.InputOverride{{Name: "dep", Ref: "path:../plain2"}}
		require.NoError(t, os.Mkdir("../plain2", 0o755))
		require.NoError(t, os.WriteFile("../plain2/flake.nix", []byte(`{ outputs = _: { text = "x"; }; }`), 0o644))
		e.NixOptions = []nixbridge.NixOption{{Name: "warn-dirty", Value: "false"}}
		ev, err := e.Evaluate(t.Context(), source(t, "."))
		require.NoError(t, err)
		want := []string{"--impure", "--override-input dep path:../plain2", "--option warn-dirty false"}
		require.Equal(t, want, ev.Flags())
		var b bytes.Buffer
		require.NoError(t, ev.Write(&b))
		require.Contains(t, b.String(), `,"impure":true,"overrides":[{"input":"dep","ref":"path:../plain2"}],"options":[{"name":"warn-dirty","value":"false"}],"hosts":[`)
		back, err := nixbridge.ReadEvaluation(&b)
		require.NoError(t, err)
		require.Equal(t, want, back.Flags())
	})
	for _, bad := range []string{`"impure":1`, `"overrides":{}`, `"overrides":[1]`, `"overrides":[{"input":"x"}]`, `"options":[{"name":1,"value":""}]`} {
		_, err := nixbridge.ReadEvaluation(strings.NewReader(`{"format":"stateward-evaluation","version":1,"nix":"2","source":".",` + bad +
			`,"hosts":[{"name":"a","source":"","status":"failed","error":{"message":"x"}}]}`))
		var fe *nixbridge.FormatError
		require.ErrorAs(t, err, &fe, bad)
	}
}
