# A collector by hand: whatever an enabled service of ours names is persisted.
{
  config,
  lib,
  ...
}: {
  options.ours = lib.mkOption {
    type = lib.types.attrsOf (lib.types.submodule {
      options.enable = lib.mkEnableOption "the service";
      options.persist = lib.mkOption {
        type = lib.types.listOf lib.types.str;
        default = [];
        description = "What it keeps.";
      };
    });
    default = {};
    description = "Services and what they keep.";
  };

  config.ours = {
    sonarr = {
      enable = true;
      persist = ["/var/lib/sonarr"];
    };
    radarr = {
      enable = true;
      persist = ["/var/lib/radarr"];
    };
  };

  config.environment.persistence."/persist".directories =
    lib.flatten (lib.mapAttrsToList (_: s: s.persist) (lib.filterAttrs (_: s: s.enable) config.ours));
}
