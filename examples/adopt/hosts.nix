# The host of docs/adopt.md, with a collector by hand and with the module. In a flake it is one of nixosConfigurations.
let
  inherit (import ../homelab/lib) evalModules;
  forge = modules: evalModules {modules = [../homelab/modules ./forge.nix] ++ modules;};
in {
  before.forge = forge [./collector.nix];
  after.forge = forge [../../nix/module ./module.nix];
}
