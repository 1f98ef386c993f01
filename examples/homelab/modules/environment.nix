# Files below /etc and the packages of the system.
{lib, ...}: let
  inherit (lib) mkOption types;
in {
  options.environment = {
    etc = mkOption {
      type = types.attrsOf (types.submodule {
        options.text = mkOption {
          type = types.nullOr types.lines;
          default = null;
          description = "What the file holds.";
        };
      });
      default = {};
      description = "Files below /etc.";
    };
    systemPackages = mkOption {
      type = types.listOf types.package;
      default = [];
      description = "Packages whose programs everybody finds.";
    };
  };
}
