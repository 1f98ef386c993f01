{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    services.postgresql = {
      enable = true;
      dataDir = "/var/lib/postgresql/16";
    };
    services.restic.backups.daily = {
      paths = ["/var/lib" "/var/backup/postgresql"];
      repository = "sftp:backup@nas:/forge";
      passwordFile = "/run/secrets/restic";
      timerConfig.OnCalendar = "daily";
    };
  };
}
