{config, ...}: {
  # Against a mistake: snapshots. The whole of rpool/safe at one moment.
  services.sanoid = {
    enable = true;
    templates.safe = {
      hourly = 48;
      daily = 30;
      monthly = 6;
      yearly = 0;
      autosnap = true;
      autoprune = true;
    };
    datasets."rpool/safe" = {
      use_template = ["safe"];
      recursive = "zfs";
    };
  };

  # Against a dead disk: a replica in the machine next door.
  services.syncoid = {
    enable = true;
    commands."rpool/safe" = {
      target = "syncoid@shed.example.org:tank/forge";
      recursive = true;
      sendOptions = "w";
      recvOptions = "u";
    };
  };

  # Against a fire: a copy in another house.
  services.restic.backups.offsite = {
    repository = "s3:https://s3.example.org/forge";
    passwordFile = "/run/secrets/restic-password";
    environmentFile = "/run/secrets/restic-credentials";
    paths = [
      config.services.sonarr.dataDir
      config.services.jellyfin.dataDir
      "/home"
    ];
    pruneOpts = ["--keep-daily 14" "--keep-weekly 8" "--keep-monthly 12"];
    timerConfig = {
      OnCalendar = "03:15";
      RandomizedDelaySec = "30m";
      Persistent = true;
    };
  };
}
