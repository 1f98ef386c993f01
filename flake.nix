{
  description = "Which data of your NixOS services survives, and the plans that make it so";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  # Whatever does not need the contents of nixpkgs evaluates without them: no list of systems and no function comes from there.
  outputs = {
    self,
    nixpkgs,
  }: let
    linux = [
      "aarch64-linux"
      "x86_64-linux"
    ];
    # Nixpkgs drops x86_64-darwin with 26.11: an output for it would fail each look at all systems.
    systems = linux ++ ["aarch64-darwin"];
    forEach = names: f:
      builtins.listToAttrs (map (system: {
          name = system;
          value = f system nixpkgs.legacyPackages.${system};
        })
        names);
  in {
    packages = forEach systems (_: pkgs: {default = pkgs.callPackage ./nix/package.nix {};});

    apps = forEach systems (system: _: {
      default = {
        type = "app";
        program = "${self.packages.${system}.default}/bin/stateward";
        meta.description = "Say which data of your NixOS services survives";
      };
    });

    devShells = forEach systems (_: pkgs: {
      default = pkgs.mkShell {
        packages = [
          pkgs.git
          pkgs.gnumake
          pkgs.go
          pkgs.mandoc
          pkgs.restic
          pkgs.shellcheck
        ];
      };
    });

    # Newer nix name no folder to it.
    formatter = forEach systems (_: pkgs: pkgs.writeShellScriptBin "stateward-format" ''exec ${pkgs.alejandra}/bin/alejandra "''${@:-.}"'');

    overlays.default = final: prev: {stateward = final.callPackage ./nix/package.nix {};};

    nixosModules.default = {
      lib,
      pkgs ? null,
      ...
    }: let
      package = lib.mkDefault self.packages.${pkgs.stdenv.hostPlatform.system}.default;
    in {
      imports = [./nix/module];
      stateward = {
        inherit package;
        guard = {inherit package;};
      };
    };

    lib = {
      evaluation = import ./nix/evaluation.nix;
      mkCheck = import ./nix/check.nix {packages = self.packages;};
    };

    checks = forEach linux (system: pkgs:
      import ./nix/checks.nix {
        inherit self nixpkgs pkgs system;
      });
  };
}
