# Its state is where systemd puts it: StateDirectory=jellyfin is /var/lib/jellyfin.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkEnableOption mkIf mkOption types;
  cfg = config.services.jellyfin;
in {
  options.services.jellyfin = {
    enable = mkEnableOption "Jellyfin";
    dataDir = mkOption {
      type = types.path;
      default = "/var/lib/jellyfin";
      description = "Where it keeps its database.";
    };
    cacheDir = mkOption {
      type = types.path;
      default = "/var/cache/jellyfin";
      description = "What it can make again.";
    };
    user = mkOption {
      type = types.str;
      default = "jellyfin";
      description = "The account it runs as.";
    };
    group = mkOption {
      type = types.str;
      default = "jellyfin";
      description = "The group it runs as.";
    };
  };

  config = mkIf cfg.enable {
    systemd.services.jellyfin = {
      description = "Jellyfin";
      after = ["network-online.target"];
      wants = ["network-online.target"];
      wantedBy = ["multi-user.target"];
      serviceConfig = {
        User = cfg.user;
        Group = cfg.group;
        StateDirectory = mkIf (cfg.dataDir == "/var/lib/jellyfin") "jellyfin";
        StateDirectoryMode = "0700";
        CacheDirectory = mkIf (cfg.cacheDir == "/var/cache/jellyfin") "jellyfin";
        ExecStart = "/run/current-system/sw/bin/jellyfin --datadir '${cfg.dataDir}' --cachedir '${cfg.cacheDir}'";
      };
    };
    users.users = mkIf (cfg.user == "jellyfin") {
      jellyfin = {
        inherit (cfg) group;
        isSystemUser = true;
      };
    };
    users.groups = mkIf (cfg.group == "jellyfin") {jellyfin = {};};
  };
}
