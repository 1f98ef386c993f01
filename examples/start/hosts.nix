# The host of docs/start.md, at its three steps. In a flake it is one of nixosConfigurations: nixpkgs.lib.nixosSystem in place of the small
# lib, and real packages.
let
  inherit (import ../homelab/lib) evalModules;

  package = name: {
    type = "derivation";
    inherit name;
    outPath = "/nix/store/00000000000000000000000000000000-${name}";
  };

  standIns = {lib, ...}: {
    options.boot.zfs.package = lib.mkOption {
      type = lib.types.package;
      default = package "zfs";
    };
    config.stateward.package = package "stateward";
  };

  forge = modules:
    evalModules {
      specialArgs.pkgs = {
        writeShellScript = builtins.toFile;
        restic = package "restic";
      };
      modules = [../homelab/modules ../../nix/module standIns ./forge.nix] ++ modules;
    };
in {
  before.forge = forge [];
  declared.forge = forge [./sonarr.nix];
  wired.forge = forge [./sonarr.nix ./wired.nix];
}
