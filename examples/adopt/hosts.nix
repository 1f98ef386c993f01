# The host of docs/adopt.md, with a collector by hand and with the module, and with datasets that a module of its own declares. In a flake it is one
# of nixosConfigurations: nixpkgs.lib.nixosSystem in place of the small lib, and real packages.
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

  forge = modules: evalModules {modules = [../homelab/modules ./forge.nix] ++ modules;};
  ours = modules:
    evalModules {
      specialArgs.pkgs.writeShellScript = builtins.toFile;
      modules = [../homelab/modules ../../nix/module standIns ./forge.nix ./datasets.nix] ++ modules;
    };
in {
  before.forge = forge [./collector.nix];
  after.forge = forge [../../nix/module ./module.nix];

  datasets.forge = ours [./declared.nix];
  both.forge = ours [./declared.nix ./sonarr.nix];
  differs.forge = ours [./declared.nix ./sonarr.nix {stateward.services.sonarr.dataset.mountpoint = "/srv/sonarr";}];
  moved.forge = ours [./rest.nix ./sonarr.nix];
  wired.forge = ours [./rest.nix ./sonarr.nix {stateward.plan = ./plans/forge.json;}];
}
