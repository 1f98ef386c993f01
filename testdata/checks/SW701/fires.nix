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
    services.restic.backups.daily = {
      paths = ["${./quiet.nix}"];
      repository = "sftp:backup:/daily";
      passwordFile = "/run/secrets/restic";
    };
  };
}
