{
  config,
  lib,
  ...
}: let
  inherit (lib) mkEnableOption mkIf mkOption types;
  cfg = config.services.vaultwarden;
in {
  options.services.vaultwarden = {
    enable = mkEnableOption "Vaultwarden";
    config = mkOption {
      type = types.attrsOf (types.nullOr (types.oneOf [types.bool types.int types.str]));
      default = {};
      description = "Its settings.";
    };
    environmentFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "A file with secret settings.";
    };
  };

  config = mkIf cfg.enable {
    systemd.services.vaultwarden = {
      description = "Vaultwarden";
      after = ["network.target"];
      wantedBy = ["multi-user.target"];
      serviceConfig = {
        User = "vaultwarden";
        Group = "vaultwarden";
        StateDirectory = "vaultwarden";
        StateDirectoryMode = "0700";
        EnvironmentFile = lib.optional (cfg.environmentFile != null) cfg.environmentFile;
        ExecStart = "/run/current-system/sw/bin/vaultwarden";
      };
    };
    users.users.vaultwarden = {
      group = "vaultwarden";
      isSystemUser = true;
    };
    users.groups.vaultwarden = {};
  };
}
