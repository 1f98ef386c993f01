{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    services.restic.backups.daily = {
      paths = ["/srv/documents"];
      repositoryFile = "/run/secrets/restic-repository";
      passwordFile = "/run/secrets/restic";
      timerConfig.OnCalendar = "daily";
    };
  };
}
