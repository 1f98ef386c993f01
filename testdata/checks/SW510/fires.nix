{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    systemd.services.postgresql.wantedBy = [];
    stateward.pitr.postgresql = {
      destination = "s3://bucket/pg";
      server = "forge";
      schedule = "daily";
      cluster = {
        dataDir = "/var/lib/postgresql/17";
        unit = "postgresql.service";
        user = "postgres";
        socket = "/run/postgresql";
        version = 17;
      };
    };
  };
}
