# Two hosts that import the module of stateward and wire their plans. In a flake they are nixosConfigurations, with nixpkgs in place of the
# small lib and the packages that are named here.
let
  lib = import ../homelab/lib;

  package = name: {
    type = "derivation";
    inherit name;
    outPath = "/nix/store/00000000000000000000000000000000-${name}";
  };

  host = name: module:
    lib.evalModules {
      specialArgs.pkgs = {
        writeShellScript = builtins.toFile;
        restic = package "restic";
        sanoid = package "sanoid";
      };
      modules = [
        ../homelab/modules
        ../../nix/module
        ./forge.nix
        module
        ({lib, ...}: {
          options.boot.zfs.package = lib.mkOption {
            type = lib.types.package;
            default = package "zfs";
          };
          config = {
            networking.hostName = name;
            stateward.plan = ./plans + "/${name}.json";
            stateward.package = package "stateward";
          };
        })
      ];
    };
in {
  forge = host "forge" {};
  # Its plan was written before the schedule was another.
  stale = host "stale" {stateward.backup.defaults.schedule = lib.mkForce "hourly";};
}
