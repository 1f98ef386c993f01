{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    fileSystems."/srv" = {
      device = "tank/srv";
      fsType = "zfs";
    };
    fileSystems."/mnt/usb" = {
      device = "usb/backup";
      fsType = "zfs";
    };
    services.restic.backups.daily = {
      paths = ["/srv/documents"];
      repository = "/mnt/usb/restic";
      passwordFile = "/run/secrets/restic";
      timerConfig.OnCalendar = "daily";
    };
  };
}
