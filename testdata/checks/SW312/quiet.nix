{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    fileSystems."/var/lib/postgresql" = {
      device = "rpool/postgresql/data";
      fsType = "zfs";
    };
    fileSystems."/var/lib/postgresql/16/pg_wal" = {
      device = "rpool/postgresql/wal";
      fsType = "zfs";
    };
    services.postgresql = {
      enable = true;
      dataDir = "/var/lib/postgresql/16";
    };
    services.sanoid = {
      enable = true;
      interval = "hourly";
      datasets."rpool/postgresql" = {
        recursive = "zfs";
        hourly = 24;
        daily = 7;
        monthly = 0;
      };
    };
  };
}
