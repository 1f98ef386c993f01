{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    services.postgresql = {
      enable = true;
      dataDir = "/var/lib/postgresql/17";
      settings = {
        archive_mode = "on";
        archive_command = "barman-cloud-wal-archive --compression gzip s3://bucket/pg main %p";
        archive_timeout = 300;
      };
    };
  };
}
