{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    stateward.backup.repositories.nas = {
      url = "sftp:backup@nas:/srv/restic";
      passwordFile = "/run/secrets/restic";
    };
    systemd.services.paperless.wantedBy = [];
    stateward.acknowledge = [
      {
        code = "SW409";
        service = "paperless";
        reason = "the unit comes with the next deploy";
      }
      {
        code = "SW307";
        subject = "stateward.services.paperless.backup";
        reason = "the unit comes with the next deploy";
      }
    ];
    services.sanoid = {
      enable = true;
      datasets."tank" = {
        recursive = true;
        autosnap = true;
        autoprune = true;
        hourly = 24;
        daily = 7;
        monthly = 0;
      };
      datasets."tank/stateward-staging" = {
        autosnap = false;
        autoprune = false;
        recursive = true;
        hourly = 0;
        daily = 0;
        monthly = 0;
      };
    };
    stateward.services.paperless = {
      enable = true;
      dataDir = "/srv/paperless";
      unit = "paperless";
      dataset = {name = "tank/paperless";};
      backup.schedule = "daily";
      preseed = {};
    };
  };
}
