# Keeps its database in dataDir. Nothing in the unit says so: there is no StateDirectory=.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkEnableOption mkIf mkOption types;
  cfg = config.services.sonarr;
in {
  options.services.sonarr = {
    enable = mkEnableOption "Sonarr";
    dataDir = mkOption {
      type = types.str;
      default = "/var/lib/sonarr/.config/NzbDrone";
      description = "Where it keeps its database and settings.";
    };
    user = mkOption {
      type = types.str;
      default = "sonarr";
      description = "The account it runs as.";
    };
    group = mkOption {
      type = types.str;
      default = "sonarr";
      description = "The group it runs as.";
    };
  };

  config = mkIf cfg.enable {
    systemd.tmpfiles.rules = ["d '${cfg.dataDir}' 0700 ${cfg.user} ${cfg.group} - -"];
    systemd.services.sonarr = {
      description = "Sonarr";
      after = ["network.target"];
      wantedBy = ["multi-user.target"];
      serviceConfig = {
        User = cfg.user;
        Group = cfg.group;
        ExecStart = "/run/current-system/sw/bin/Sonarr -nobrowser -data=${cfg.dataDir}";
      };
    };
    users.users = mkIf (cfg.user == "sonarr") {
      sonarr = {
        uid = 274;
        inherit (cfg) group;
        home = cfg.dataDir;
        isSystemUser = true;
      };
    };
    users.groups = mkIf (cfg.group == "sonarr") {sonarr.gid = 274;};
  };
}
