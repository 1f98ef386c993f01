package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/internal/nixtest"
	runner "github.com/stateward/stateward/internal/run"
)

// repo is a git repository with a flake in a folder of it: a commit where sonarr survives, one on a branch where it does not, and files that lie there
// without being committed.
func repo(t *testing.T) (dir string, git func(...string) string) {
	t.Helper()
	dir = t.TempDir()
	git = func(args ...string) string {
		t.Helper()
		r, err := runner.Run(t.Context(), runner.Cmd{Path: "git", Args: append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@t"}, args...), Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}})
		require.NoError(t, err, string(r.Stderr))
		return strings.TrimSpace(string(r.Stdout))
	}
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "my flake"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "my flake", name), []byte(text), 0o644))
	}
	host := func(directories string) string {
		return `{ outputs = { self }: { nixosConfigurations.forge.config = {
			fileSystems = { "/" = { device = "none"; fsType = "tmpfs"; }; "/persist" = { device = "/dev/a"; fsType = "ext4"; neededForBoot = true; }; };
			systemd.services.sonarr.serviceConfig.StateDirectory = "sonarr";
			environment.persistence."/persist".directories = [ ` + directories + ` ];
		}; }; }`
	}
	git("init", "-q", "-b", "main")
	write("flake.nix", host(`"/var/lib/sonarr" "/srv/photos"`))
	git("add", ".")
	git("commit", "-qm", "one")
	git("checkout", "-qb", "topic")
	write("flake.nix", host(`"/srv/photos"`))
	write("stateward.toml", "[[acknowledge]]\ncode = \"SW101\"\nservice = \"sonarr\"\nreason = \"it is scanned again\"\n")
	git("add", ".")
	git("commit", "-qm", "two")
	git("checkout", "-q", "main")
	write("other", "x")
	git("add", ".")
	git("commit", "-qm", "three")
	git("checkout", "-q", "topic")
	write("flake.nix", host(``))
	return dir, git
}

func TestDiffOfRevisions(t *testing.T) {
	for _, nix := range nixtest.All(t) {
		t.Run(nix.Name, func(t *testing.T) {
			dir, git := repo(t)
			cache := t.TempDir()
			flake := filepath.Join(dir, "my flake")
			diff := func(args ...string) DiffOutput {
				t.Helper()
				r := run(t, nil, append([]string{"diff", "-o", "json", "-q", "--nix", nix.Path(), "--cache-dir", cache}, args...)...)
				var out DiffOutput
				require.NoError(t, json.Unmarshal([]byte(r.stdout), &out), "status %d\n%s%s", r.status, r.stdout, r.stderr)
				require.Equal(t, StatusFindings, r.status)
				require.Len(t, out.Hosts, 1)
				return out
			}
			lost := func(out DiffOutput) (paths []string) {
				for _, c := range out.Hosts[0].Loses() {
					paths = append(paths, c.Path)
				}
				return paths
			}
			require.Equal(t, []string{"/srv/photos", "/var/lib/sonarr"}, lost(diff("--rev", "main", flake)), "main and the files as they lie there")
			require.Equal(t, []string{"/srv/photos"}, lost(diff("--rev", "HEAD", flake)))
			require.Equal(t, []string{"/var/lib/sonarr"}, lost(diff("--rev", "main..", flake+"#forge")))
			require.Equal(t, []string{"/var/lib/sonarr"}, lost(diff("--rev", git("rev-parse", "main~1")+"..topic", flake)))
			out := diff("--rev", "main...topic", flake)
			require.Equal(t, []string{"/var/lib/sonarr"}, lost(out))
			require.Equal(t, "where topic left main ("+git("rev-parse", "main~1")[:12]+")", out.Old.Source)
			// The stateward.toml of the revision accepts it there, and nothing in the other one.
			require.Contains(t, fmt.Sprint(out.Hosts[0].Changes), "accepted: it is scanned again")
			// What nix itself takes for a revision is as good.
			ref := "git+file:" + strings.ReplaceAll(dir, " ", "%20") + "?dir=my%20flake&rev="
			require.Equal(t, []string{"/var/lib/sonarr"}, lost(diff(ref+git("rev-parse", "main"), ref+git("rev-parse", "topic"))))
		})
	}
}

func TestDiffRefuses(t *testing.T) {
	dir, _ := repo(t)
	flake := filepath.Join(dir, "my flake")
	file := filepath.Join(t.TempDir(), "hosts.nix")
	require.NoError(t, os.WriteFile(file, []byte(`{ }`), 0o644))
	for want, args := range map[string][]string{
		"there is nothing to compare with":               {file},
		"--rev takes one source, and there are two":      {"--rev", "main", file, file},
		"and " + file + " is none":                       {"--rev", "main", file},
		"both sources are standard input":                {"-", "-"},
		`git knows of no commit "nowhere"`:               {"--rev", "nowhere", flake},
		`git knows of no commit "--help"`:                {"--rev=--help", flake},
		`--rev "..main" names no revision to start from`: {"--rev", "..main", flake},
	} {
		r := run(t, nil, append([]string{"diff", "-q"}, args...)...)
		require.Contains(t, []int{StatusUsage, StatusEvaluation}, r.status)
		require.Contains(t, r.stderr, want)
		require.Empty(t, r.stdout)
	}
}

// A host that fails on one side is unknown: status 3, and no word of its being as before.
func TestDiffOfAHostThatFails(t *testing.T) {
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "hosts.nix")
		require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
		return name
	}
	const good = `forge.config.networking.hostName = "forge";`
	sound, broken := file("{ "+good+" a.config.x = 1; }"), file("{ "+good+` a.config = throw "not\ntoday"; }`)
	cache := t.TempDir()
	for _, tc := range []struct{ old, new, want string }{
		{sound, broken, "it cannot be evaluated any more: "}, {broken, sound, "it could not be evaluated before, so there is nothing to compare with: "}, {broken, broken, "it can be evaluated on neither side: "},
	} {
		for _, format := range []string{"text", "markdown", "github", "json"} {
			r := run(t, nil, "diff", tc.old, tc.new, "-q", "--cache-dir", cache, "-o", format)
			require.Equal(t, StatusEvaluation, r.status, r.stderr)
			require.Contains(t, r.stdout, "unknown")
			if format != "json" {
				require.Contains(t, r.stdout, tc.want)
				require.NotContains(t, r.stdout, "nothing changes")
			}
		}
		require.Equal(t, StatusOK, run(t, nil, "diff", tc.old, tc.new, "-q", "--cache-dir", cache, "--host", "forge").status)
	}
	r := run(t, nil, "diff", sound, sound, "-q", "--cache-dir", cache, "-o", "markdown")
	require.Equal(t, StatusOK, r.status)
	require.Equal(t, "**stateward**: nothing changes what survives.\n", r.stdout)
}

// What a configuration holds is no Markdown, mentions nobody, and long lists are folded.
func TestMarkdownOfADiff(t *testing.T) {
	out := DiffOutput{Hosts: []aggregate.HostDiff{{Name: "a*b", State: aggregate.HostChanged}}}
	for i := range 300 {
		out.Hosts[0].Changes = append(out.Hosts[0].Changes, aggregate.Change{Effect: aggregate.Worse, Severity: stateward.SeverityError, Kind: aggregate.AboutJob, Loses: true,
			Subject: fmt.Sprint(i), Message: "@someone #1 <img src=x> [a](b) `c` _d_ | https://x.example\n</details>"})
	}
	text := diffMarkdown(out)
	require.Less(t, len(text), markdownLimit)
	for _, bad := range []string{"@someone", "#1", "<img", "[a]", " `c`", "https://", "\n</details>\n- "} {
		require.NotContains(t, text, bad)
	}
	require.Contains(t, text, "<details><summary>290 more</summary>")
	require.Contains(t, text, "- and 190 more\n")
	require.Equal(t, 1, strings.Count(text, "</details>"))
}

// That a kind of loss was not survived, and now is not known to be, is no loss.
func TestWhatWasNotProtectedGetsNoWorseByADoubt(t *testing.T) {
	t.Chdir(repository)
	r := run(t, nil, "diff", "examples/start/hosts.nix#before", "examples/start/hosts.nix#wired", "-o", "markdown", "--quiet", "--cache-dir", t.TempDir())
	require.Equal(t, StatusOK, r.status, r.stderr)
	require.Contains(t, r.stdout, "survives the loss of the house is not known, and until now it did not")
	require.Contains(t, r.stdout, "**stateward**: 1 host changed.")
	require.NotContains(t, r.stdout, ":x:", "nothing has that sign, so it is not explained")
}
