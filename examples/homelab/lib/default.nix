# A module system in miniature. It stands in for nixpkgs' lib, so that this
# example evaluates with no inputs, no network and nothing to download. It covers
# what the example uses and a little more: modules that import one another, typed
# options, mkIf, mkMerge, priorities and ordering. A real host uses nixpkgs.
let
  lib =
    import ./util.nix
    // import ./properties.nix
    // {
      inherit (import ./modules.nix lib) evalModules literalExpression mergeDefinitions mkOption mkEnableOption;
      types = import ./types.nix lib;
    };
in
  lib
