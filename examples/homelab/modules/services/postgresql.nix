# The data directory carries the major version, so that an upgrade starts beside the old one.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkDefault mkEnableOption mkIf mkOption types;
  cfg = config.services.postgresql;
  usual = "/var/lib/postgresql/${cfg.version}";
in {
  options.services.postgresql = {
    enable = mkEnableOption "PostgreSQL";
    version = mkOption {
      type = types.str;
      default = "17";
      description = "The major version (NixOS takes a package).";
    };
    dataDir = mkOption {
      type = types.path;
      description = "Where the cluster is.";
    };
    ensureDatabases = mkOption {
      type = types.listOf types.str;
      default = [];
      description = "Databases that must exist.";
    };
  };

  config = mkIf cfg.enable {
    services.postgresql.dataDir = mkDefault usual;
    systemd.services.postgresql = {
      description = "PostgreSQL Server";
      after = ["network.target"];
      wantedBy = ["multi-user.target"];
      environment.PGDATA = cfg.dataDir;
      unitConfig.RequiresMountsFor = cfg.dataDir;
      serviceConfig = {
        User = "postgres";
        Group = "postgres";
        Type = "notify";
        StateDirectory = mkIf (cfg.dataDir == usual) "postgresql postgresql/${cfg.version}";
        StateDirectoryMode = "0750";
        ExecStart = "/run/current-system/sw/bin/postgres";
      };
    };
    users.users.postgres = {
      uid = 71;
      group = "postgres";
      home = "/var/lib/postgresql";
      isSystemUser = true;
    };
    users.groups.postgres.gid = 71;
  };
}
