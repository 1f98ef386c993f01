package nixbridge_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/nixbridge"
)

func TestParseSource(t *testing.T) {
	flake, file, saved := nixbridge.FlakeSource, nixbridge.FileSource, nixbridge.SavedSource
	for _, tc := range []struct {
		arg  string
		want nixbridge.Source
	}{
		{".", nixbridge.Source{Kind: flake, Ref: "."}},
		{"#forge", nixbridge.Source{Kind: flake, Ref: ".", Attr: []string{"forge"}}},
		{"./dir#nixosConfigurations", nixbridge.Source{Kind: flake, Ref: "./dir", Attr: []string{}}},
		{".#nixosConfigurations.forge", nixbridge.Source{Kind: flake, Ref: ".", Attr: []string{"forge"}}},
		{`.#nixosConfigurations."my.host"`, nixbridge.Source{Kind: flake, Ref: ".", Attr: []string{"my.host"}}},
		{".#my.host", nixbridge.Source{Kind: flake, Ref: ".", Attr: []string{"my.host"}}},
		{".#nixosConfigurations.%22my.host%22", nixbridge.Source{Kind: flake, Ref: ".", Attr: []string{"my.host"}}},
		{"github:o/r/main?dir=x#a", nixbridge.Source{Kind: flake, Ref: "github:o/r/main?dir=x", Attr: []string{"a"}}},
		{"git+file:///srv/x.json", nixbridge.Source{Kind: flake, Ref: "git+file:///srv/x.json"}},
		{"hosts.nix", nixbridge.Source{Kind: file, Ref: "hosts.nix"}},
		{`a/hosts.nix#x."y z"`, nixbridge.Source{Kind: file, Ref: "a/hosts.nix", Attr: []string{"x", "y z"}}},
		{"-", nixbridge.Source{Kind: saved, Ref: "-"}},
		{"out/hosts.json", nixbridge.Source{Kind: saved, Ref: "out/hosts.json"}},
	} {
		got, err := nixbridge.ParseSource(tc.arg)
		require.NoError(t, err, tc.arg)
		tc.want.Arg = tc.arg
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Error(tc.arg, d)
		}
	}
	for _, bad := range []string{"", "a\x00", "-x", "x.json#a", ".#a..b", ".#nixosConfigurations.a.config", `.#a."b"`, `hosts.nix#"`} {
		_, err := nixbridge.ParseSource(bad)
		var se *nixbridge.SourceError
		require.ErrorAs(t, err, &se, bad)
	}
}

// A configuration file is looked for where the source lies, and nowhere for what lies elsewhere.
func TestSourceFolder(t *testing.T) {
	base, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	for _, dir := range []string{"repo/.git", "repo/sub/deep", "other"} {
		require.NoError(t, os.MkdirAll(filepath.Join(base, dir), 0o755))
	}
	require.NoError(t, os.WriteFile(filepath.Join(base, "repo/sub/flake.nix"), nil, 0o600))
	require.NoError(t, os.Symlink(filepath.Join(base, "repo"), filepath.Join(base, "link")))
	t.Chdir(filepath.Join(base, "repo"))
	for _, tc := range []struct {
		arg, dir, root string
		ok             bool
	}{
		{"./sub#forge", "repo/sub", "repo/sub", true},
		{"sub/deep", "repo/sub", "repo/sub", true},
		{"git+file://" + base + "/repo?dir=sub", "repo/sub", "repo/sub", true},
		{base + "/link/sub", "repo/sub", "repo/sub", true},
		{"../other", "other", "other", true},
		{"sub/hosts.nix#a.b", "repo/sub", "repo", true},
		{"../other/hosts.nix", "other", "other", true},
		{"sub/hosts.json", "repo/sub", "", true},
		{"-", "", "", false},
		{"github:owner/repo", "", "", false},
		{"nixpkgs", "", "", false},
	} {
		t.Run(tc.arg, func(t *testing.T) {
			src, err := nixbridge.ParseSource(tc.arg)
			require.NoError(t, err)
			dir, root, ok := src.Folder()
			rel := func(s string) string {
				if s == "" {
					return ""
				}
				r, err := filepath.Rel(base, s)
				require.NoError(t, err)
				return r
			}
			require.Equal(t, []any{tc.dir, tc.root, tc.ok}, []any{rel(dir), rel(root), ok})
		})
	}
}
