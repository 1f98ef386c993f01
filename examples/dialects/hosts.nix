# One host with a contract of its own: `homelab.apps` says where each application keeps its data.
# Its modules, and a module system that stands in for nixpkgs, are those of ../homelab.
let
  lib = import ../homelab/lib;
  host = modules: lib.evalModules {inherit modules;} // {inherit lib;};
in {
  forge = host [../homelab/modules ../homelab/hosts/forge/disks.nix ../homelab/hosts/forge/persistence.nix ./apps.nix ./forge.nix];
}
