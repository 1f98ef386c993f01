# The module of the contract.
{lib, ...}: let
  inherit (lib) mkEnableOption mkOption types;
  app = {name, ...}: {
    options = {
      enable = mkEnableOption name;
      stateDir = mkOption {type = types.str;};
      extraPaths = mkOption {
        type = types.listOf types.str;
        default = [];
      };
      owner = mkOption {
        type = types.str;
        default = name;
      };
      precious = mkOption {
        type = types.bool;
        default = false;
      };
    };
  };
in {
  options.homelab.apps = mkOption {
    type = types.attrsOf (types.submodule app);
    default = {};
  };
}
