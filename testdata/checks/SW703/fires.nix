{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    services.restic.backups.daily = {
      paths = ["/srv/documents"];
      repository = "rest:https://forge:hunter2@nas.example.org/forge";
      passwordFile = "/run/secrets/restic";
      timerConfig.OnCalendar = "daily";
    };
  };
}
