{
  config = {
    fileSystems."/" = {
      device = "tmpfs";
      fsType = "tmpfs";
    };
    fileSystems."/persist" = {
      device = "rpool/safe/persist";
      fsType = "zfs";
      neededForBoot = true;
    };
    qgroget.serviceModules.sonarr = {
      enable = true;
      domain = "home";
      dataDir = "/var/lib/sonarr";
      backupPaths = [];
    };
    environment.persistence."/persist".directories = ["/var/lib/sonarr"];
    services.restic.backups.daily = {
      paths = ["/var/lib/sonarr"];
      repository = "sftp:backup:/daily";
    };
    environment.persistence."/persist".files = ["/etc/machine-id"];
  };
}
