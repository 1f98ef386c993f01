package nix_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/run"
)

// system is how nix calls this machine.
var system = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + "-" + runtime.GOOS

// static builds the command as a program that needs nothing else, as a package would have it.
var static = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "stateward-static")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	file := filepath.Join(dir, "stateward")
	if _, err := run.Run(ctx, run.Cmd{Path: "go", Args: []string{"build", "-trimpath", "-ldflags=-s", "-o", file, "../cmd/stateward"}, Env: append(os.Environ(), "CGO_ENABLED=0")}); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

// fleet is a flake with hosts and their checks, and with our Nix and the command inside.
func fleet(t *testing.T, hosts, args string, files map[string]string) string {
	t.Helper()
	dir := folder(t, files)
	copyTree(t, ours(t), filepath.Join(dir, "ours"), nil)
	program, err := static()
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "package/bin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "package/bin/stateward"), program, 0o755))
	text := `{
  outputs = {self}: {
    nixosConfigurations = let
      host = config: { config = { fileSystems."/" = { device = "tmpfs"; fsType = "tmpfs"; }; } // config; };
    in ` + hosts + `;
    checks.` + system + ` = import ./ours/nix/check.nix {packages = {};} ({
      inherit self;
      system = "` + system + `";
      package = ./package;
    } // ` + args + `);
  };
}
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "flake.nix"), []byte(text), 0o644))
	return dir
}

func check(dir, host string) string {
	return "path:" + dir + "#checks." + system + ".stateward-" + host
}

// kept keeps the state of a service, lost does not.
const (
	kept = `host { fileSystems."/" = { device = "/dev/sda"; fsType = "ext4"; }; systemd.services.feeds.serviceConfig.StateDirectory = "feeds"; }`
	lost = `host { systemd.services.feeds = { enable = true; wantedBy = [ "multi-user.target" ]; serviceConfig.StateDirectory = "feeds"; }; }`
)

func TestEachHostIsCheckedByItsOwnBuild(t *testing.T) {
	eachNix(t, func(t *testing.T, n nix) {
		dir := fleet(t, `{
      sound = `+kept+`;
      faulty = `+lost+`;
      throwing = throw "no such host";
      ending = host { systemd.services = { }.nothing; };
    }`, "{ }", nil)
		out := filepath.Join(n.home, "result")
		_, said, err := n.run(t, "build", "--print-build-logs", "--out-link", out, check(dir, "sound"))
		require.NoError(t, err, said)
		require.Contains(t, said, "sound")
		real, err := os.Readlink(out)
		require.NoError(t, err)
		for file, want := range map[string]string{"report.txt": "/var/lib/feeds", "report.json": `"name": "sound"`} {
			text, err := os.ReadFile(filepath.Join(n.store(), real, file))
			require.NoError(t, err)
			require.Contains(t, string(text), want)
		}

		_, said, err = n.run(t, "build", "--no-link", "--print-build-logs", check(dir, "faulty"))
		require.Error(t, err)
		require.Contains(t, said, "SW101")
		require.Contains(t, said, "/var/lib/feeds")

		_, said, err = n.run(t, "build", "--no-link", "--print-build-logs", check(dir, "throwing"))
		require.Error(t, err)
		require.Contains(t, said, "throwing")
		require.Contains(t, said, "the host throws")

		_, said, err = n.run(t, "eval", "--show-trace", "--raw", check(dir, "ending")+".drvPath")
		require.Error(t, err)
		require.Contains(t, said, "while stateward reads host 'ending'")

		// One that fails leaves the others.
		_, said, err = n.run(t, "build", "--no-link", "--keep-going", "--print-build-logs", check(dir, "throwing"), check(dir, "faulty"), check(dir, "sound"))
		require.Error(t, err)
		require.Contains(t, said, "stateward-throwing")
		require.Contains(t, said, "stateward-faulty")
	})
}

// Of an error that cannot be caught nix flake check tells the host, and checks the others.
func TestAHostThatEndsItsEvaluationLeavesTheOthers(t *testing.T) {
	eachNix(t, func(t *testing.T, n nix) {
		dir := fleet(t, `{ a-sound = `+kept+`; ending = host { systemd.services = { }.nothing; }; faulty = `+lost+`; }`, "{ }", nil)
		_, said, err := n.run(t, "flake", "check", "--keep-going", "--print-build-logs", "--show-trace", "path:"+dir)
		require.Error(t, err)
		require.Contains(t, said, "while stateward reads host 'ending'")
		require.Contains(t, said, "stateward-a-sound> ", "a sound host is built")
		require.Contains(t, said, "SW101", "and a faulty one")
	})
}

func TestHostsThatAreNotThereAreNamed(t *testing.T) {
	eachNix(t, func(t *testing.T, n nix) {
		dir := fleet(t, "{ forge = "+kept+"; attic = "+kept+"; }", `{ hosts = [ "forge" "atic" ]; }`, nil)
		_, said, err := n.run(t, "eval", "--json", "path:"+dir+"#checks."+system, "--apply", "builtins.attrNames")
		require.Error(t, err)
		require.Contains(t, said, `there is no host "atic"; there are attic, forge`)
	})
}

func TestNoHostIsNoSoundHost(t *testing.T) {
	eachNix(t, func(t *testing.T, n nix) {
		for name, tc := range map[string]struct{ hosts, args, says string }{
			"a flake without hosts": {"{ }", "{ }", "nixosConfigurations is empty"},
			"an empty list":         {"{ forge = " + kept + "; }", "{ hosts = [ ]; }", "hosts names no host; leave it out for all of forge"},
		} {
			_, said, err := n.run(t, "eval", "--json", "path:"+fleet(t, tc.hosts, tc.args, nil)+"#checks."+system, "--apply", "builtins.attrNames")
			require.Error(t, err, name)
			require.Contains(t, said, tc.says, name)
		}
	})
}

func TestWrongArgumentsOfChecksEndTheEvaluation(t *testing.T) {
	eachNix(t, func(t *testing.T, n nix) {
		for args, says := range map[string]string{
			`{ threshold = "fatal"; }`:     `threshold is "fatal", and none of info, warning, error`,
			`{ config = "./other.toml"; }`: `config is "./other.toml", a text: write the path of the file, without quotes`,
		} {
			_, said, err := n.run(t, "eval", "--raw", check(fleet(t, "{ forge = "+kept+"; }", args, nil), "forge")+".drvPath")
			require.Error(t, err, args)
			require.Contains(t, said, says)
		}
	})
}

// A date in TOML stands wherever a value does, beside quotes and signs of all kinds.
func TestEveryDateOfAConfigurationIsSeen(t *testing.T) {
	eachNix(t, func(t *testing.T, n nix) {
		for name, config := range map[string]string{
			"a line":       "[[acknowledge]]\ncode = \"SW101\" # was = 2020-01-01\npath = \"/x\"\nreason = \"it's #12\"\nuntil=2030-01-31\n",
			"a table":      "acknowledge = [{code = \"SW101\", path = \"/x\", reason = \"it's #12\", until = 2030-01-31}]\n",
			"a text":       "[[acknowledge]]\ncode = \"SW101\"\npath = \"/x\"\nreason = 'until = 2020-01-31, said \"x'\nuntil = \"2030-01-31\"\n",
			"several rows": "acknowledge = [\n  {code = \"SW102\", path = \"/x\", reason = \"r\"},\n  {code = \"SW101\", path = \"/x\", reason = 'say \"x', until = 2030-01-31}, # until = 2020-01-01\n]\n",
		} {
			drv := func(now string) string {
				return eval[string](t, n, check(fleet(t, "{ forge = "+kept+"; }", `{ now = "`+now+`"; }`, map[string]string{"stateward.toml": config}), "forge")+".drvPath")
			}
			require.NotEqual(t, drv("2030-01-01"), drv("2030-02-01"), name)
		}
	})
}

func TestACheckStaysTheSameUntilItsInputChanges(t *testing.T) {
	var ofAll string
	eachNix(t, func(t *testing.T, n nix) {
		drv := func(dir string) string {
			return eval[string](t, n, check(dir, "forge")+".drvPath")
		}
		hosts := "{ forge = " + kept + "; }"
		first := drv(fleet(t, hosts, "{ }", nil))
		if ofAll == "" {
			ofAll = first
		}
		require.Equal(t, ofAll, first, "which nix does not matter")
		require.Equal(t, first, drv(fleet(t, hosts, "{ }", map[string]string{"README.md": "something else"})))
		require.Equal(t, first, drv(fleet(t, hosts, `{ now = "2030-01-01"; }`, nil)), "the day does not matter")
		require.NotEqual(t, first, drv(fleet(t, "{ forge = "+lost+"; }", "{ }", nil)))

		until := map[string]string{"stateward.toml": "[[acknowledge]]\ncode = \"SW101\"\npath = \"/var/lib/feeds\"\nreason = \"known\"\nuntil = 2030-01-31\n"}
		before := drv(fleet(t, hosts, `{ now = "2030-01-01"; }`, until))
		require.NotEqual(t, before, drv(fleet(t, hosts, `{ now = "2030-02-01"; }`, until)), "what is accepted ends")
	})
}

func TestWhatIsAcceptedEnds(t *testing.T) {
	eachNix(t, func(t *testing.T, n nix) {
		config := map[string]string{
			"stateward.toml": ownConfig + "\n[[acknowledge]]\ncode = \"SW101\"\npath = \"/srv/wiki\"\nreason = \"known\"\n\n[[acknowledge]]\ncode = \"SW101\"\npath = \"/srv/feeds\"\nreason = \"known\"\n\n[check]\nthreshold = \"error\"\n",
			"nix/apps.nix":   appsDialect,
		}
		hosts := strings.Replace("{ forge = "+lost+"; }", "host {", "host { apps.wiki = { at = \"/srv/wiki\"; lost = \"wiki\"; }; services.feeds = { enable = true; dir = \"/srv/feeds\"; };", 1)
		_, said, err := n.run(t, "build", "--no-link", "--print-build-logs", check(fleet(t, hosts, `{ now = "2030-01-31"; }`, config), "forge"))
		require.NoError(t, err, said)
		require.Contains(t, said, "/srv/wiki", "the dialect of stateward.toml counts")
		require.Contains(t, said, "/srv/feeds", "its table counts")
		_, said, err = n.run(t, "build", "--no-link", "--print-build-logs", check(fleet(t, hosts, `{ now = "2030-02-01"; }`, config), "forge"))
		require.Error(t, err)
		require.Contains(t, said, "SW101")
	})
}

func TestTheThresholdOfAnArgumentIsThatOfTheCheck(t *testing.T) {
	eachNix(t, func(t *testing.T, n nix) {
		for _, severity := range []string{"info", "warning", "error"} {
			args := eval[[]string](t, n, check(fleet(t, "{ forge = "+kept+"; }", `{ threshold = "`+severity+`"; }`, nil), "forge")+".args")
			i := slices.Index(args, "--threshold")
			require.GreaterOrEqual(t, i, 0, args)
			require.Equal(t, severity, args[i+1])
		}
		require.NotContains(t, eval[[]string](t, n, check(fleet(t, "{ forge = "+kept+"; }", "{ }", nil), "forge")+".args"), "--threshold", "that of the configuration counts")
	})
}

func TestNothingOfAHostIsBuiltForItsCheck(t *testing.T) {
	eachNix(t, func(t *testing.T, n nix) {
		dir := fleet(t, `{ forge = host { systemd.services.feeds = { serviceConfig.ExecStart = "${derivation { name = "heavy"; system = "none"; builder = "none"; }}/bin/feeds"; serviceConfig.StateDirectory = "feeds"; }; }; }`, `{ threshold = "error"; }`, nil)
		out := eval[string](t, n, check(dir, "forge")+".drvPath")
		shown, said, err := n.run(t, "show-derivation", out)
		require.NoError(t, err, said)
		require.True(t, json.Valid([]byte(shown)))
		require.NotContains(t, shown, "heavy")
	})
}
