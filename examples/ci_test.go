package examples_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWorkflowsAreSound(t *testing.T) {
	files, err := filepath.Glob("ci/github/*.yml")
	require.NoError(t, err)
	require.Len(t, files, 3)
	shellcheck, err := exec.LookPath("shellcheck")
	require.NoError(t, err, "this test needs shellcheck; run: make deps")
	out, err := exec.Command("go", append([]string{"tool", "-modfile=../tools/go.mod", "actionlint", "-no-color", "-shellcheck=" + shellcheck, "-pyflakes="}, files...)...).CombinedOutput()
	require.NoError(t, err, string(out))

	// The lint does find something.
	bad := filepath.Join(t.TempDir(), "bad.yml")
	text, err := os.ReadFile("ci/github/stateward.yml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(bad, []byte(strings.Replace(string(text), "runs-on:", "run-on:", 1)), 0o644))
	out, err = exec.Command("go", "tool", "-modfile=../tools/go.mod", "actionlint", "-no-color", "-shellcheck=", "-pyflakes=", bad).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "run-on")
}

// repository is one of git with the example's hosts forge and, if it is broken, one that loses data; stateward is on the path.
type repository struct {
	dir string
	env []string
}

func newRepository(t *testing.T) repository {
	t.Helper()
	bin, home := t.TempDir(), storeDir(t)
	out, err := exec.Command("go", "build", "-ldflags=-s", "-o", filepath.Join(bin, "stateward"), "../cmd/stateward").CombinedOutput()
	require.NoError(t, err, string(out))
	r := repository{t.TempDir(), []string{
		"PATH=" + bin + string(filepath.ListSeparator) + os.Getenv("PATH"), "HOME=" + home, "XDG_CACHE_HOME=" + filepath.Join(home, "cache"),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org",
	}}
	r.write(t, "flake.nix", r.flake(`"ext4"`))
	r.must(t, "git", "init", "-q")
	return r
}

// flake has a host whose root is of this type.
func (r repository) flake(fsType string) string {
	return `{
  outputs = {self}: {
    nixosConfigurations.forge.config = {
      fileSystems."/" = { device = "root"; fsType = ` + fsType + `; };
      systemd.services.feeds = { enable = true; wantedBy = [ "multi-user.target" ]; serviceConfig.StateDirectory = "feeds"; };
    };
  };
}
`
}

func (r repository) write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o644))
}

func (r repository) run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = r.dir, r.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func (r repository) must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := r.run(name, args...)
	require.NoError(t, err, "%s %q: %s", name, args, out)
	return out
}

// refuses shows that a commit that would lose data is not made, and others are.
func (r repository) refuses(t *testing.T) {
	t.Helper()
	r.must(t, "git", "add", "-A")
	r.must(t, "git", "commit", "-qm", "sound")
	before := r.must(t, "git", "rev-parse", "HEAD")
	r.write(t, "flake.nix", r.flake(`"tmpfs"`))
	out, err := r.run("git", "commit", "-qam", "wipe the root")
	require.Error(t, err)
	require.Contains(t, out, "SW101")
	require.Contains(t, out, "/var/lib/feeds")
	require.Equal(t, before, r.must(t, "git", "rev-parse", "HEAD"))

	// What has nothing to do with the configuration is not looked at.
	r.must(t, "git", "checkout", "-q", "flake.nix")
	r.write(t, "notes.md", "notes\n")
	r.must(t, "git", "add", "notes.md")
	r.must(t, "git", "commit", "-qm", "notes")
	r.write(t, "flake.nix", r.flake(`"tmpfs"`))
	r.must(t, "git", "commit", "--no-verify", "-qam", "wipe the root on purpose")
}

func TestHookOfGitRefusesWhatLosesData(t *testing.T) {
	r := newRepository(t)
	hook, err := os.ReadFile("ci/pre-commit")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, ".git/hooks/pre-commit"), hook, 0o755))
	r.refuses(t)
}

func TestHookOfPreCommitRefusesWhatLosesData(t *testing.T) {
	_, err := exec.LookPath("pre-commit")
	require.NoError(t, err, "this test needs pre-commit; run: make deps")
	// pre-commit takes hooks from a repository: one with the file alone, so that nothing is built.
	hooks := repository{t.TempDir(), newRepository(t).env}
	text, err := os.ReadFile("../.pre-commit-hooks.yaml")
	require.NoError(t, err)
	hooks.write(t, ".pre-commit-hooks.yaml", string(text))
	hooks.must(t, "git", "init", "-q")
	hooks.must(t, "git", "add", "-A")
	hooks.must(t, "git", "commit", "-qm", "hooks")
	hooks.must(t, "git", "tag", "v0.1.0")
	hooks.must(t, "pre-commit", "validate-manifest", ".pre-commit-hooks.yaml")

	r := newRepository(t)
	config, err := os.ReadFile("ci/pre-commit-config.yaml")
	require.NoError(t, err)
	r.write(t, "example.yaml", string(config))
	r.must(t, "pre-commit", "validate-config", "example.yaml")
	require.NoError(t, os.Remove(filepath.Join(r.dir, "example.yaml")))
	installed := strings.NewReplacer("https://github.com/stateward/stateward", hooks.dir, "- id: stateward", "- id: stateward-installed").Replace(string(config))
	r.write(t, ".pre-commit-config.yaml", installed)
	r.must(t, "pre-commit", "install")
	r.refuses(t)
}
