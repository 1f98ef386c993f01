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
    services.restic.backups = {
      documents = {
        paths = ["/persist/documents"];
        repository = "sftp:backup:/all";
        passwordFile = "/run/secrets/restic";
        pruneOpts = ["--tag documents" "--keep-monthly 24"];
      };
      database = {
        paths = ["/persist/database"];
        repository = "sftp:backup:/all";
        passwordFile = "/run/secrets/restic";
        pruneOpts = ["--tag database" "--keep-daily 7"];
      };
    };
  };
}
