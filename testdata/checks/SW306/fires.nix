{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    services.restic.backups.daily = {
      paths = ["/srv/documents"];
      repository = "b2:bucket:forge";
      passwordFile = "/run/secrets/restic";
      timerConfig.OnCalendar = "daily";
    };
  };
}
