{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    services.restic.backups.daily = {
      paths = ["/var/lib"];
      repository = "sftp:backup@nas:/forge";
      passwordFile = "/root/restic-password";
      timerConfig.OnCalendar = "daily";
    };
  };
}
