{
  config = {
    networking.hostName = "forge";
    fileSystems."/" = {
      device = "tmpfs";
      fsType = "tmpfs";
    };
    fileSystems."/persist" = {
      device = "rpool/safe/persist";
      fsType = "zfs";
      neededForBoot = true;
    };
    services.restic.backups.paperless = {
      paths = ["/persist/documents"];
      repository = "sftp:backup:/paperless";
      passwordFile = "/run/secrets/restic";
    };
  };
}
