package nixbridge

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnlockedInputsAreNamed(t *testing.T) {
	const flake = `{
  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.05";
    # old.url = "github:someone/old";
    secrets = { flake = false; url = "git+ssh://git@nas.lan/secrets?ref=main"; };
    near.url = "path:../near";
    local.url = "git+file:///srv/local";
  };
  inputs.tar.url = "https://example.org/x.tar.gz";
  outputs = { self, ... }: { nixosConfigurations.a.services.feed.url = "https://example.org/feed"; };
}
`
	for name, tc := range map[string]struct {
		pinned []string
		said   string
		want   []string
	}{
		"by owner and name":   {nil, "unable to download 'https://api.github.com/repos/NixOS/nixpkgs/commits/nixos-25.05': no", []string{"nixpkgs"}},
		"by address":          {nil, "Failed to fetch git repository 'ssh://git@nas.lan/secrets'", []string{"secrets"}},
		"a tarball":           {nil, "unable to download 'https://example.org/x.tar.gz'", []string{"tar"}},
		"none is named":       {[]string{"tar"}, "program 'git' failed", []string{"nixpkgs", "secrets"}},
		"the registry":        {nil, "cannot find flake 'flake:home-manager' in the flake registries", []string{"home-manager"}},
		"each is pinned":      {[]string{"tar", "nixpkgs", "secrets"}, "unable to download 'https://example.org/feed'", nil},
		"one of them is not":  {[]string{"nixpkgs", "secrets"}, "no internet", []string{"tar"}},
		"pinned and yet told": {[]string{"nixpkgs"}, "unable to download 'https://api.github.com/repos/NixOS/nixpkgs/commits/x'", []string{"secrets", "tar"}},
	} {
		t.Run(name, func(t *testing.T) {
			pinned := map[string]bool{}
			for _, p := range tc.pinned {
				pinned[p] = true
			}
			if diff := cmp.Diff(tc.want, unlockedIn(flake, pinned, tc.said)); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}
