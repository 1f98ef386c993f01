{
  description = "A homelab of three hosts for trying stateward: one sound, one full of mistakes, one that half evaluates";

  # No inputs: nothing is downloaded. ./lib and ./modules stand in for nixpkgs and Impermanence.
  outputs = {self}: let
    lib = import ./lib;
    host = module: lib.evalModules {modules = [./modules module];};
  in {
    inherit lib;

    nixosConfigurations = {
      # Wipes its root at every boot and loses nothing.
      forge = host ./hosts/forge;
      # Wipes its root at every boot, and each file in hosts/attic loses or endangers something.
      attic = host ./hosts/attic;
      # Two mistakes keep part of it from evaluating. The rest still gets its answer.
      cellar = host ./hosts/cellar;
    };
  };
}
