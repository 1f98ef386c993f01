{
  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    impermanence.url = "github:nix-community/impermanence";
    stateward = {
      url = "github:stateward/stateward";
      inputs.nixpkgs.follows = "nixpkgs";
    };
  };

  outputs = {
    self,
    nixpkgs,
    impermanence,
    stateward,
  }: {
    nixosConfigurations.forge = nixpkgs.lib.nixosSystem {
      modules = [
        impermanence.nixosModules.impermanence
        stateward.nixosModules.default
        ./hosts/forge.nix
      ];
    };

    # One check for each host, which nix flake check builds.
    checks.x86_64-linux = stateward.lib.mkCheck {
      inherit self;
      system = "x86_64-linux";
    };
  };
}
