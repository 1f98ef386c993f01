{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    stateward.services.paperless = {
      enable = true;
      dataDir = "/srv/paperless";
      backup.schedule = "daily";
    };
    services.restic.backups.daily = {
      paths = ["/srv/photos"];
      repository = "sftp:backup@nas:/forge";
      passwordFile = "/run/secrets/restic";
      timerConfig.OnCalendar = "daily";
    };
  };
}
