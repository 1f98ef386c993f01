package flaketest_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/internal/nixtest"
	"github.com/stateward/stateward/nixbridge"
	"github.com/stateward/stateward/nixbridge/flaketest"
)

// hosts is what could be written differently elsewhere: paths, positions, nix' own words, names of the store.
const hosts = `let
  root = { fileSystems."/" = { device = "tmpfs"; fsType = "tmpfs"; }; };
  persist = { fileSystems."/persist" = { device = "/dev/p"; fsType = "ext4"; neededForBoot = true; }; };
  sound = root // {
    fileSystems = root.fileSystems // persist.fileSystems;
    environment.persistence."/persist" = { directories = [ "/var/lib/sonarr" { directory = "/srv"; user = "x"; mode = "0700"; } ]; files = [ "/etc/machine-id" ]; };
    systemd.services.sonarr.serviceConfig.StateDirectory = "sonarr";
  };
in {
  sound.config = sound;
  paths.config = sound // {
    services.restic.backups.b = {
      passwordFile = ./secret;
      repository = ./.;
      environmentFile = toString ./secret;
      paths = [ "${./.}/x" "/nix/store/00000000000000000000000000000000-a-1/b" "/nix/store/11111111111111111111111111111111-a-1/b" ];
    };
    systemd.services."/nix/store/00000000000000000000000000000000-a".enable = true;
    systemd.services."/nix/store/11111111111111111111111111111111-a".enable = false;
    warnings = [ "look at ${toString ./secret}:12\nSW101 error forged" (builtins.fromJSON ''"\u001b[31mred"'') ];
  };
  half.config = sound // {
    systemd.services = {
      throws.serviceConfig.StateDirectory = throw "not yet in ${toString ./secret}";
      fails.serviceConfig.StateDirectory = { }.nope;
      types.serviceConfig.StateDirectory = 1 + "x";
      loops.serviceConfig.StateDirectory = let x = x; in x;
      calls.serviceConfig.StateDirectory = (x: x) 1 2;
      imports.serviceConfig.StateDirectory = import ./absent.nix;
      aborts.serviceConfig.StateDirectory = abort "never";
      function.serviceConfig.StateDirectory = x: x;
    };
    users.users.a.uid = "one";
  };
  "my.host/..".config = sound;
  "..".config = sound;
}
`

func write(t testing.TB, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return dir
}

// tree is what is in a folder: the texts by name.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[rel] = string(text)
		return err
	}))
	return out
}

// private is a temporary folder whose read-only store can be removed again.
func private(t testing.TB) string {
	dir := filepath.Join(t.TempDir(), "private")
	t.Cleanup(func() {
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				_ = os.Chmod(path, 0o700)
			}
			return nil
		})
	})
	return dir
}

func evaluate(t testing.TB, e *nixbridge.Evaluator, source string) *nixbridge.Evaluation {
	t.Helper()
	src, err := nixbridge.ParseSource(source)
	require.NoError(t, err)
	ev, err := e.Evaluate(t.Context(), src)
	require.NoError(t, err)
	return ev
}

func saved(t testing.TB, ev *nixbridge.Evaluation) *nixbridge.Evaluation {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, ev.Write(&b))
	again, err := nixbridge.ReadEvaluation(&b)
	require.NoError(t, err)
	return again
}

func updated(t testing.TB, ev *nixbridge.Evaluation) map[string]string {
	t.Helper()
	dir := t.TempDir()
	r := flaketest.Render(ev)
	require.Empty(t, r.Failed)
	_, err := r.Update(dir)
	require.NoError(t, err)
	return tree(t, dir)
}

// Every version of nix, every folder, a second run and a saved evaluation give the same bytes.
func TestFilesAreEqualEverywhere(t *testing.T) {
	flake := "{ outputs = { self }: { nixosConfigurations = import ./hosts.nix; }; }"
	for kind, arg := range map[string]string{"file": "hosts.nix", "flake": ""} {
		t.Run(kind, func(t *testing.T) {
			var first map[string]string
			for _, n := range nixtest.All(t) {
				cache := private(t)
				for range 2 {
					dir := write(t, filepath.Join(t.TempDir(), "cfg"), map[string]string{"hosts.nix": hosts, "secret": "s", "flake.nix": flake})
					ev := evaluate(t, &nixbridge.Evaluator{Nix: n.Path(), CacheDir: cache}, filepath.Join(dir, arg))
					got := updated(t, ev)
					if first == nil {
						first = got
					}
					require.Empty(t, cmp.Diff(first, got), n.Name)
					require.Empty(t, cmp.Diff(first, updated(t, saved(t, ev))), "saved, "+n.Name)
					for name, text := range got {
						require.NotContains(t, text, dir, name)
						require.NotRegexp(t, `/nix/store/[0-9a-z]{32}`, text, name)
						require.NotContains(t, text, "\x1b", name)
						require.NotRegexp(t, `(?m)^SW101 error forged`, text, name)
					}
				}
			}
			for name, lines := range map[string][]string{
				"half/evaluated.json": {`"status": "partial"`, `"StateDirectory": {"__stateward":"unknown","kind":"abort"}`, `{"__stateward":"unknown","kind":"throw","message":"not yet in `},
				"half/findings.txt":   {"evaluated in part: see the end", "systemd.services.fails.serviceConfig.StateDirectory (abort)", "systemd.services.throws.serviceConfig.StateDirectory (throw): not yet in "},
				"half/survival.txt":   {"    reboot: unknown  systemd.services.throws.serviceConfig.StateDirectory: not yet in "},
				"paths/evaluated.json": {`"passwordFile": {"__stateward":"path","path":"./secret"}`, `"repository": {"__stateward":"path","path":"."}`, `"environmentFile": "./secret"`,
					`"/nix/store/<hash>-a-1/b"`, `"/nix/store/<hash>-a #2": {`},
				"paths/findings.txt":    {`look at ./secret:12 SW101 error forged`, `\x1b[31mred`},
				"sound/findings.txt":    {"evaluated as a whole"},
				"sound/survival.txt":    {"the root is wiped at every boot: fileSystems.\"/\" is a tmpfs", "sonarr\n  /var/lib/sonarr  (StateDirectory)\n    reboot: survives  environment.persistence.\"/persist\""},
				"sound/persistence.txt": {"environment.persistence.\"/persist\"\n  directory  /srv  x 0700\n  directory  /var/lib/sonarr  for sonarr\n  file       /etc/machine-id\n"},
			} {
				for _, line := range lines {
					require.Contains(t, first[name], line, name)
				}
			}
			for _, folder := range []string{"sound", "paths", "half", "my.host%2F..", "%2E."} {
				for _, name := range flaketest.FileNames() {
					require.Contains(t, first, folder+"/"+name)
				}
			}
			require.Len(t, first, 5*len(flaketest.FileNames()))
		})
	}
}

// What was left out changes no verdict.
func TestFilesSayWhatTheCheckSays(t *testing.T) {
	ev := evaluate(t, &nixbridge.Evaluator{CacheDir: private(t)}, "../../examples/homelab")
	for i, r := range flaketest.Render(ev).Hosts {
		h, err := ev.Hosts[i].Decode()
		require.NoError(t, err)
		plain, err := ev.Hosts[i].Portable().Decode()
		require.NoError(t, err)
		require.Equal(t, h.Status, r.Status)
		key := func(d stateward.Diagnostic) string { return d.Code + d.Severity.String() + d.Subject + d.Path }
		require.Empty(t, cmp.Diff(keys(h, key), keys(plain, key)))
		for _, d := range findings(h) {
			require.Contains(t, string(r.Files[flaketest.FindingsFile]), fmt.Sprintf("\n%s %s %s\n", d.Code, d.Severity, d.Subject))
		}
		require.Equal(t, h.Status == stateward.StatusPartial, strings.Contains(string(r.Files[flaketest.FindingsFile]), "evaluated in part"))
	}
}

// recorder stands in for a test.
type recorder struct {
	name  string
	ctx   context.Context
	said  []string
	fatal bool
}

func (r *recorder) Helper()                  {}
func (r *recorder) Name() string             { return r.name }
func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Logf(f string, a ...any)  { r.said = append(r.said, "log: "+fmt.Sprintf(f, a...)) }
func (r *recorder) Errorf(f string, a ...any) {
	r.said = append(r.said, "error: "+fmt.Sprintf(f, a...))
}
func (r *recorder) Fatalf(f string, a ...any) {
	r.said = append(r.said, "fatal: "+fmt.Sprintf(f, a...))
	r.fatal = true
}

func record(t *testing.T, f func(t flaketest.TB)) string {
	t.Helper()
	r := &recorder{name: t.Name(), ctx: t.Context()}
	f(r)
	return strings.Join(r.said, "\n")
}

func TestGolden(t *testing.T) {
	t.Setenv("UPDATE_GOLDEN", "")
	base := write(t, t.TempDir(), map[string]string{"hosts.nix": hosts, "secret": ""})
	source, dir := filepath.Join(base, "hosts.nix"), filepath.Join(base, "golden")
	o := flaketest.Options{CacheDir: private(t), Hosts: []string{"sound", "half"}}
	golden := func(o flaketest.Options) string {
		return record(t, func(t flaketest.TB) { flaketest.Golden(t, source, dir, o) })
	}

	said := golden(o)
	require.Contains(t, said, "no such file")
	require.Contains(t, said, "hint: UPDATE_GOLDEN=1 go test -run '^TestGolden$' .")
	require.NoDirExists(t, dir)

	t.Setenv("UPDATE_GOLDEN", "1")
	require.Contains(t, golden(o), "log: flaketest: wrote "+filepath.Join(dir, "sound", "findings.txt"))
	before := tree(t, dir)
	require.Len(t, before, 8)
	require.Empty(t, golden(o), "nothing to write the second time")
	t.Setenv("UPDATE_GOLDEN", "")
	require.Empty(t, golden(o))

	write(t, base, map[string]string{"hosts.nix": strings.Replace(hosts, `"/var/lib/sonarr" {`, `{`, 1)})
	said = golden(o)
	require.Contains(t, said, "\n--- "+filepath.Join(dir, "half", "evaluated.json"), "a diff")
	require.Contains(t, said, "-  directory  /var/lib/sonarr  for sonarr")
	require.Contains(t, said, "+SW101 error systemd.services.sonarr.serviceConfig.StateDirectory")
	require.Contains(t, said, "if that is meant: UPDATE_GOLDEN=1 go test -run '^TestGolden$' .")
	require.Empty(t, cmp.Diff(before, tree(t, dir)), "comparing writes nothing")

	// A host that fails is said, and nothing is written.
	write(t, base, map[string]string{"hosts.nix": strings.Replace(hosts, "sound.config = sound;", `sound.config = throw "broken";`, 1)})
	said = golden(o)
	require.Contains(t, said, "host sound failed: broken")
	require.NotContains(t, said, "stale", "its files are no leftovers")
	o.Update = true
	require.Contains(t, golden(o), "nothing was written")
	require.Empty(t, cmp.Diff(before, tree(t, dir)))

	o.Nix = "/nonexistent/nix"
	require.Contains(t, golden(o), "cannot run nix")
	require.Contains(t, record(t, func(t flaketest.TB) { flaketest.Golden(t, "", dir) }), `source "" is empty`)
	require.Contains(t, record(t, func(t flaketest.TB) { flaketest.Golden(t, source, dir, o, o) }), "2 Options")
}

func TestLoadAndNoFindings(t *testing.T) {
	o := flaketest.Options{CacheDir: private(t)}
	hosts := flaketest.Load(t, "../../examples/homelab", o)
	var names []string
	for _, h := range hosts {
		names = append(names, h.Name+" "+string(h.Status))
	}
	require.Equal(t, []string{"attic ok", "cellar partial", "forge ok"}, names)

	flaketest.NoFindings(t, "../../examples/homelab#forge", o)
	said := record(t, func(t flaketest.TB) { flaketest.NoFindings(t, "../../examples/homelab#attic", o) })
	require.Contains(t, said, "error: attic: error SW101 services.sonarr.dataDir  hosts/attic/sonarr.nix\n")
	require.Contains(t, said, "\n    hint: ")
	require.NotContains(t, said, "SW114", "information is no fault, unless asked for")
	o.Threshold = stateward.SeverityInfo
	o.Ignore = []string{"SW101"}
	said = record(t, func(t flaketest.TB) { flaketest.NoFindings(t, "../../examples/homelab#attic", o) })
	require.Contains(t, said, "SW114")
	require.NotContains(t, said, "SW101")
	require.Contains(t, record(t, func(t flaketest.TB) { flaketest.NoFindings(t, "../../examples/homelab#cellar", o) }), "SW603", "what could not be seen is not fine")
	o.Ignore = []string{"SW999"}
	require.Contains(t, record(t, func(t flaketest.TB) { flaketest.NoFindings(t, "x", o) }), "SW999")
	require.Contains(t, record(t, func(t flaketest.TB) { flaketest.Load(t, "nowhere.json") }), "is not there")
}

func findings(h *stateward.Host) []stateward.Diagnostic {
	return aggregate.Lint(aggregate.Input{Host: h}).Findings
}

func keys(h *stateward.Host, key func(stateward.Diagnostic) string) []string {
	var out []string
	for _, d := range findings(h) {
		out = append(out, key(d))
	}
	return out
}
