{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    fileSystems."/srv" = {
      device = "rpool/srv";
      fsType = "zfs";
    };
    services.restic.backups.daily = {
      paths = ["/srv/.zfs/snapshot/backup"];
      exclude = ["/srv/.zfs/snapshot/backup/cache"];
      repository = "sftp:backup@nas:/forge";
      passwordFile = "/run/secrets/restic";
      timerConfig.OnCalendar = "daily";
    };
  };
}
