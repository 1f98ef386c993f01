# Like Sonarr, for films: its state is wherever dataDir says.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkEnableOption mkIf mkOption types;
  cfg = config.services.radarr;
in {
  options.services.radarr = {
    enable = mkEnableOption "Radarr";
    dataDir = mkOption {
      type = types.str;
      default = "/var/lib/radarr/.config/Radarr";
      description = "Where it keeps its database and settings.";
    };
    user = mkOption {
      type = types.str;
      default = "radarr";
      description = "The account it runs as.";
    };
    group = mkOption {
      type = types.str;
      default = "radarr";
      description = "The group it runs as.";
    };
  };

  config = mkIf cfg.enable {
    systemd.tmpfiles.rules = ["d '${cfg.dataDir}' 0700 ${cfg.user} ${cfg.group} - -"];
    systemd.services.radarr = {
      description = "Radarr";
      after = ["network.target"];
      wantedBy = ["multi-user.target"];
      serviceConfig = {
        User = cfg.user;
        Group = cfg.group;
        ExecStart = "/run/current-system/sw/bin/Radarr -nobrowser -data=${cfg.dataDir}";
      };
    };
    users.users = mkIf (cfg.user == "radarr") {
      radarr = {
        uid = 275;
        inherit (cfg) group;
        home = cfg.dataDir;
        isSystemUser = true;
      };
    };
    users.groups = mkIf (cfg.group == "radarr") {radarr.gid = 275;};
  };
}
