package nixbridge_test

import (
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
