package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/golden"
	"github.com/stateward/stateward/internal/nixtest"
	runner "github.com/stateward/stateward/internal/run"
)

// guarded is a host of the small lib with the guard, as settings have it: its check, what it evaluates to, and what is added to the system.
type guarded struct {
	Check, Evaluation, Builder, File string
	// Refused are the assertions that do not hold.
	Refused []string
}

func evalGuarded(t *testing.T, nix nixtest.Nix, settings string) guarded {
	t.Helper()
	root, err := filepath.Abs(repository)
	require.NoError(t, err)
	var out guarded
	nix.JSON(t, fmt.Sprintf(`
		let
		  lib = import %[1]s/examples/homelab/lib;
		  inherit (lib) mkOption types;
		  host = lib.evalModules { modules = [
		    %[1]s/nix/module
		    %[1]s/examples/homelab/modules
		    {
		      options.system.preSwitchChecks = mkOption { type = types.attrsOf types.str; default = { }; };
		      options.system.systemBuilderCommands = mkOption { type = types.lines; default = ""; };
		    }
		    { stateward.guard.enable = true; }
		    (%[2]s)
		  ]; };
		  check = host.config.system.preSwitchChecks.stateward;
		in { inherit check; inherit (host.config.stateward.guard) evaluation; builder = host.config.system.systemBuilderCommands;
		     refused = map (one: one.message) (builtins.filter (one: !one.assertion) host.config.assertions); }`, root, settings), &out)
	m := regexp.MustCompile(`--new '([^']+)'`).FindStringSubmatch(out.Check)
	require.Len(t, m, 2, out.Check)
	out.File = m[1]
	return out
}

// The forms in which NixOS has put the checks of a system into one script since 24.11; ran is what comes after them.
var preSwitchScripts = map[string]string{
	"with a status of its own": "#!%s\n# pre-switch check stateward\n(\n%s\n)\nif [[ $? != 0 ]]; then\necho \"Pre-switch check 'stateward' failed\"\nexit 1\nfi\necho ran\n",
	"in a condition": "#!%s\nset -o errexit\nset -o nounset\nset -o pipefail\n# pre-switch check stateward\nif ! (\n%s\n) >&2 ; then\n" +
		"echo \"Pre-switch check 'stateward' failed\" >&2\nexit 1\nfi\necho ran\n",
	"with errexit": "#!%s\nset -o errexit\nset -o nounset\nset -o pipefail\nset +e\n(\nset -e\n%s\n) >&2\n_rc=$?\nset -e\nif [ \"$_rc\" -ne 0 ]; then\n" +
		"echo \"Pre-switch check 'stateward' failed\" >&2\nexit 1\nfi\necho ran\n",
}

// deployed is a folder with a running system, and with what is written down of it.
type deployed struct {
	t        *testing.T
	dir, bin string
}

func newDeployed(t *testing.T) *deployed {
	t.Helper()
	m := &deployed{t, t.TempDir(), t.TempDir()}
	program, err := exec.LookPath("stateward") // of TestMain
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(m.bin, "bin"), 0o755))
	require.NoError(t, os.Symlink(program, filepath.Join(m.bin, "bin/stateward")))
	return m
}

// settings are a host on this machine: what is persisted, and what else is set.
func (m *deployed) settings(directories, more string) string {
	return fmt.Sprintf(`{
	  networking.hostName = "forge";
	  fileSystems."/" = { device = "none"; fsType = "tmpfs"; };
	  fileSystems."/persist" = { device = "/dev/a"; fsType = "ext4"; neededForBoot = true; };
	  environment.persistence."/persist".directories = [ %s ];
	  systemd.services.sonarr.serviceConfig.StateDirectory = "sonarr";
	  stateward.guard = { package = { type = "derivation"; name = "stateward"; outPath = %q; }; running = "%s/current"; stateDir = "%s/state"; %s };
	}`, directories, m.bin, m.dir, m.dir, more)
}

// running makes a system the running one.
func (m *deployed) running(g guarded) {
	require.NoError(m.t, os.MkdirAll(filepath.Join(m.dir, "current/stateward"), 0o755))
	require.NoError(m.t, os.WriteFile(filepath.Join(m.dir, "current/stateward/evaluation.json"), []byte(g.Evaluation), 0o644))
}

// check runs the check of an incoming system as switch-to-configuration does. What nix would have put into its store lies in a folder.
func (m *deployed) check(g guarded, form, action string) (ok bool, text string) {
	m.t.Helper()
	dir := m.t.TempDir()
	file := filepath.Join(dir, "evaluation.json")
	require.NoError(m.t, os.WriteFile(file, []byte(g.Evaluation), 0o644))
	bash, err := exec.LookPath("bash")
	require.NoError(m.t, err)
	script := filepath.Join(dir, "pre-switch-checks")
	require.NoError(m.t, os.WriteFile(script, fmt.Appendf(nil, preSwitchScripts[form], bash, strings.ReplaceAll(g.Check, g.File, file)), 0o755))
	var args []string
	if action != "" {
		args = []string{dir, action}
	}
	r, err := runner.Run(m.t.Context(), runner.Cmd{Path: script, Args: args, Env: []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "GORACE=" + quickExit}})
	text = string(r.Stdout) + string(r.Stderr)
	var exit *runner.ExitError
	if err != nil {
		require.True(m.t, errors.As(err, &exit), "%v", err)
		require.Contains(m.t, text, "Pre-switch check 'stateward' failed")
	}
	require.Equal(m.t, err == nil, strings.Contains(text, "ran\n"), text)
	return err == nil, text
}

func (m *deployed) status() (out GuardStatusOutput) {
	r := run(m.t, nil, "guard", "status", "-o", "json", "--state-dir", filepath.Join(m.dir, "state"))
	require.Equal(m.t, StatusOK, r.status, r.stderr)
	require.NoError(m.t, resolved(m.t, "guard").Validate(instance(m.t, r.stdout)))
	require.NoError(m.t, json.Unmarshal([]byte(r.stdout), &out))
	return out
}

// Every nix makes the check, and every form of a script runs it. Nix has no part in what bash makes of the check, so each nix is given one of the forms, and not
// all of them.
func TestTheGuardOfASystem(t *testing.T) {
	all, forms := nixtest.All(t), slices.Sorted(maps.Keys(preSwitchScripts))
	for i := range max(len(all), len(forms)) {
		nix, form := all[i%len(all)], forms[i%len(forms)]
		t.Run(nix.Name+"/"+form, func(t *testing.T) {
			m := newDeployed(t)
			kept := evalGuarded(t, nix, m.settings(`"/var/lib/sonarr" "/srv/photos"`, ""))
			lost := evalGuarded(t, nix, m.settings(`"/srv/photos"`, ""))
			worse := evalGuarded(t, nix, m.settings(``, ""))
			require.Contains(t, kept.Builder, "ln -s "+kept.File+" $out/stateward/evaluation.json")

			ok, text := m.check(lost, form, "switch")
			require.True(t, ok, "the first switch\n%s", text)
			require.Contains(t, text, "the running system has no evaluation")
			require.Contains(t, text, "SW101 sonarr keeps state in /var/lib/sonarr")

			m.running(kept)
			ok, text = m.check(kept, form, "switch")
			require.True(t, ok, text)
			require.Equal(t, "ran\n", text, "nothing to say")
			for _, action := range []string{"switch", "boot", "test", "check", ""} {
				ok, text = m.check(lost, form, action)
				require.False(t, ok, text)
				require.Contains(t, text, "sonarr: /var/lib/sonarr does not survive a reboot")
			}
			ok, text = m.check(lost, form, "dry-activate")
			require.True(t, ok, text)
			require.Contains(t, text, "a switch to it would be refused")
			require.Len(t, m.status().Entries, 4, "what only asks writes nothing down")

			digest := regexp.MustCompile(`--digest ([0-9a-f]+)`)
			r := run(t, nil, "guard", "override", "--reason", "it is scanned again", "--state-dir", filepath.Join(m.dir, "state"))
			require.Equal(t, StatusOK, r.status, r.stderr)
			require.Contains(t, r.stdout, "/var/lib/sonarr does not survive a reboot")
			ok, text = m.check(worse, form, "switch")
			require.False(t, ok, "it is of another change\n%s", text)
			ok, text = m.check(lost, form, "check")
			require.True(t, ok, text)
			require.Len(t, m.status().Pending, 1, "a check uses nothing up")
			ok, text = m.check(lost, form, "switch")
			require.True(t, ok, text)
			require.Contains(t, text, "it is scanned again")
			require.Empty(t, m.status().Pending)
			ok, text = m.check(lost, form, "switch")
			require.False(t, ok, "it is used up\n%s", text)

			// The system that was switched to, and back to the generation before: nothing is lost by that.
			m.running(lost)
			ok, text = m.check(kept, form, "switch")
			require.True(t, ok, text)
			// Back to an older generation that lost it is refused as any other.
			m.running(kept)
			ok, text = m.check(lost, form, "boot")
			require.False(t, ok, text)
			said := digest.FindStringSubmatch(text)[1]
			declared := evalGuarded(t, nix, m.settings(`"/srv/photos"`, `override = { digest = "`+said+`"; reason = "it's $(known) 'here'"; };`))
			ok, text = m.check(declared, form, "switch")
			require.True(t, ok, text)
			require.Contains(t, text, "the configuration lets it pass: it's $(known) 'here'")
			declared = evalGuarded(t, nix, m.settings(``, `override = { digest = "`+said+`"; reason = "known"; };`))
			ok, text = m.check(declared, form, "switch")
			require.False(t, ok, "it is of another change\n%s", text)
		})
	}
}

// What docs/guard.md shows of a refusal and of its override is what they print.
func TestTheGuardsPageShowsWhatIsPrinted(t *testing.T) {
	nix := nixtest.All(t)[0]
	m := newDeployed(t)
	state := []string{"--state-dir", filepath.Join(m.dir, "state")}
	m.running(evalGuarded(t, nix, m.settings(`"/var/lib/sonarr" "/srv/photos"`, "")))
	lost := evalGuarded(t, nix, m.settings(`"/srv/photos"`, ""))
	const form = "in a condition"
	var shown strings.Builder
	step := func(command, printed string) {
		// A switch goes on with what NixOS prints, which is not ours to show; our state lies elsewhere.
		printed = strings.ReplaceAll(strings.TrimPrefix(printed, "ran\n"), " --state-dir "+state[1], "")
		fmt.Fprintf(&shown, "# %s\n%s", command, regexp.MustCompile(`overridden by \S+ at`).ReplaceAllLiteralString(printed, "overridden by root at"))
	}
	ok, text := m.check(lost, form, "switch")
	require.False(t, ok, text)
	step("nixos-rebuild switch", text)
	r := run(t, nil, append([]string{"guard", "override", "--reason", "the library is scanned again"}, state...)...)
	require.Equal(t, StatusOK, r.status, r.stderr)
	step(`stateward guard override --reason "the library is scanned again"`, r.stdout)
	ok, text = m.check(lost, form, "switch")
	require.True(t, ok, text)
	step("nixos-rebuild switch", text)

	page := filepath.Join(repository, "docs/guard.md")
	before, err := os.ReadFile(page)
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)<!-- made by internal/cli/guard_test.go -->\n```console\n(.*?)```\n")
	require.True(t, block.Match(before))
	golden.Compare(t, page, block.ReplaceAllLiteral(before, fmt.Appendf(nil, "<!-- made by internal/cli/guard_test.go -->\n```console\n%s```\n", shown.String())))
}

// The configuration of another machine keeps nothing of this one's.
func TestTheGuardRefusesAnotherHost(t *testing.T) {
	for _, nix := range nixtest.All(t) {
		t.Run(nix.Name, func(t *testing.T) {
			m := newDeployed(t)
			here := m.settings(`"/srv/photos"`, "")
			m.running(evalGuarded(t, nix, here))
			ok, text := m.check(evalGuarded(t, nix, strings.Replace(here, `networking.hostName = "forge"`, `networking.hostName = "attic"`, 1)), "in a condition", "switch")
			require.False(t, ok, text)
			require.Contains(t, text, "the running system is that of forge, and the incoming one that of attic: is it the right host?")
		})
	}
}

// What is persisted and comes too late is not there when its services start.
func TestTheGuardRefusesWhatComesTooLate(t *testing.T) {
	const form = "in a condition"
	for i, nix := range nixtest.All(t) {
		t.Run(nix.Name, func(t *testing.T) {
			m := newDeployed(t)
			early := m.settings(`"/var/lib/sonarr"`, "")
			late := strings.Replace(early, "neededForBoot = true", "neededForBoot = false", 1)
			want := `fileSystems."/persist" is not needed for boot: from the next boot on it is mounted too late for 1 path that is persisted (/var/lib/sonarr)`
			if i%2 == 1 {
				late = strings.Replace(early, "neededForBoot = true;", `neededForBoot = true; options = ["nofail"]; }; boot.initrd.systemd = { enable = true;`, 1)
				want = `fileSystems."/persist" has the option nofail, by which the systemd initrd does not wait for it: from the next boot on it may be mounted too late`
			}
			require.NotEqual(t, early, late)
			m.running(evalGuarded(t, nix, early))
			ok, text := m.check(evalGuarded(t, nix, late), form, "switch")
			require.False(t, ok, text)
			require.Contains(t, text, want)
			m.running(evalGuarded(t, nix, late))
			ok, text = m.check(evalGuarded(t, nix, late), form, "switch")
			require.True(t, ok, "it was late already\n%s", text)
		})
	}
}

// What the guard cannot refuse, since it is gone by then, a diff tells.
func TestADiffTellsOfTheGuardThatIsSwitchedOff(t *testing.T) {
	for _, nix := range nixtest.All(t) {
		t.Run(nix.Name, func(t *testing.T) {
			on := evalGuarded(t, nix, newDeployed(t).settings(`"/var/lib/sonarr"`, "")).Evaluation
			off := strings.Replace(on, `"stateward.guard":{"enable":true}`, `"stateward.guard":{"enable":false}`, 1)
			require.NotEqual(t, on, off)
			dir := t.TempDir()
			for name, text := range map[string]string{"on.json": on, "off.json": off} {
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
			}
			r := run(t, nil, "diff", filepath.Join(dir, "on.json"), filepath.Join(dir, "off.json"), "--threshold", "error", "-q")
			require.Equal(t, StatusFindings, r.status, r.stderr)
			require.Contains(t, r.stdout, "the guard is off from now on: no switch that would lose data is refused any more")
		})
	}
}

func TestADeclaredOverrideNeedsWords(t *testing.T) {
	nix := nixtest.All(t)[0]
	m := newDeployed(t)
	for override, whole := range map[string]bool{
		``: true, `override = { digest = "0123456789abcdef0123"; reason = "it is scanned again"; };`: true,
		`override.digest = "0123456789abcdef0123";`: false, `override.reason = "why not";`: false,
		`override = { digest = "0123456789abcdef0123"; reason = " \n"; };`: false, `override = { digest = ""; reason = "why not"; };`: false,
	} {
		refused := strings.Join(evalGuarded(t, nix, m.settings("", override)).Refused, "\n")
		require.Equal(t, whole, !strings.Contains(refused, "stateward.guard.override"), "%s: %s", override, refused)
	}
}

// A guard that is broken lets nothing by.
func TestABrokenGuardRefuses(t *testing.T) {
	nix := nixtest.All(t)[0]
	m := newDeployed(t)
	g := evalGuarded(t, nix, m.settings(`"/var/lib/sonarr"`, ""))
	m.running(g)
	const form = "in a condition"
	old := filepath.Join(m.dir, "current/stateward/evaluation.json")
	for name, text := range map[string]string{
		"empty": "", "cut off": g.Evaluation[:len(g.Evaluation)/2], "no JSON": "hello", "null": "null", "deep": strings.Repeat("[", 200000), "another format": `{"format":"x","version":1,"hosts":[]}`,
		"no host": `{"format":"stateward-evaluation","version":1,"nix":"2","source":".","hosts":[]}`,
		"failed":  `{"format":"stateward-evaluation","version":1,"nix":"2","source":".","hosts":[{"name":"forge","source":".#forge","status":"failed","error":{"kind":"throw","message":"no"}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			m := &deployed{t, m.dir, m.bin}
			require.NoError(t, os.WriteFile(old, []byte(text), 0o644))
			ok, said := m.check(g, form, "switch")
			require.False(t, ok, said)
			require.Contains(t, said, "whether this switch loses data is not known")
			r := run(t, nil, "guard", "override", "--reason", "looked at by hand", "--state-dir", filepath.Join(m.dir, "state"))
			require.Equal(t, StatusOK, r.status, r.stderr)
			broken := g
			broken.Evaluation = text
			ok, said = m.check(broken, form, "switch")
			require.False(t, ok, "another new one\n%s", said)
			ok, said = m.check(g, form, "switch")
			require.True(t, ok, said)
			broken.Evaluation = text
			m.running(g)
			ok, said = m.check(broken, form, "switch")
			require.False(t, ok, said)
		})
	}
	t.Run("a link that leads nowhere", func(t *testing.T) {
		m := &deployed{t, m.dir, m.bin}
		require.NoError(t, os.Remove(old))
		require.NoError(t, os.Symlink("nowhere", old))
		ok, said := m.check(g, form, "switch")
		require.False(t, ok, said)
		require.NoError(t, os.Remove(old))
		m.running(g)
	})
	t.Run("no program", func(t *testing.T) {
		m := &deployed{t, m.dir, m.bin}
		gone := g
		gone.Check = strings.ReplaceAll(g.Check, m.bin, m.bin+"/gone")
		ok, said := m.check(gone, form, "switch")
		require.False(t, ok, said)
	})
	t.Run("a journal that others can write", func(t *testing.T) {
		m := &deployed{t, m.dir, m.bin}
		file := filepath.Join(m.dir, "state/guard.jsonl")
		lost := evalGuarded(t, nix, m.settings("", ""))
		ok, said := m.check(lost, form, "switch")
		require.False(t, ok, said)
		require.Equal(t, StatusOK, run(t, nil, "guard", "override", "--reason", "x", "--state-dir", filepath.Dir(file)).status)
		require.NoError(t, os.Chmod(file, 0o666))
		ok, said = m.check(lost, form, "switch")
		require.False(t, ok, said)
		require.Contains(t, said, "can be written by others")
	})
}

// A system that an older stateward read is compared as far as that went: nobody has to override what is new in stateward.
func TestTheGuardReadsWhatAnOlderOneWrote(t *testing.T) {
	nix := nixtest.All(t)[0]
	m := newDeployed(t)
	kept, lost := evalGuarded(t, nix, m.settings(`"/var/lib/sonarr"`, "")), evalGuarded(t, nix, m.settings("", ""))
	var ev map[string]any
	require.NoError(t, json.Unmarshal([]byte(kept.Evaluation), &ev))
	delete(ev["hosts"].([]any)[0].(map[string]any)["tree"].(map[string]any)["nixos"].(map[string]any)["sections"].(map[string]any), "systemd.timers")
	text, err := json.Marshal(ev)
	require.NoError(t, err)
	older := kept
	older.Evaluation = string(text)
	m.running(older)
	ok, said := m.check(kept, "in a condition", "switch")
	require.True(t, ok, said)
	require.Contains(t, said, "was read by another stateward")
	ok, said = m.check(lost, "in a condition", "switch")
	require.False(t, ok, said)
	require.Contains(t, said, "/var/lib/sonarr does not survive a reboot")
	ok, said = m.check(older, "in a condition", "switch")
	require.False(t, ok, "the incoming one has to be whole\n%s", said)
}

func TestGuardRefusesUsage(t *testing.T) {
	dir := t.TempDir()
	for want, args := range map[string][]string{
		"--new is missing":                         {},
		"an override needs both digest and reason": {"--new", "x", "--override-digest", "y"},
		"--reason is missing":                      {"override"},
		`--digest: "x" is no digest`:               {"override", "--reason", "r", "--digest", "x"},
	} {
		r := run(t, nil, append([]string{"guard"}, args...)...)
		require.Equal(t, StatusUsage, r.status)
		require.Contains(t, r.stderr, want)
	}
	r := run(t, nil, "guard", "override", "--reason", "r", "--state-dir", dir)
	require.Equal(t, StatusStep, r.status)
	require.Contains(t, r.stderr, "nothing was refused")
	r = run(t, nil, "guard", "status", "--state-dir", dir)
	require.Equal(t, "nothing was refused yet\n", r.stdout)
}
