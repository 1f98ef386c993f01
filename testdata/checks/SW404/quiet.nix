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
    stateward.services.paperless = {
      enable = true;
      dataDir = "/srv/paperless";
      unit = "paperless";
      dataset = {name = "tank/paperless";};
      backup = {
        schedule = "daily";
        paths = ["/srv/paperless/db"];
      };
      preseed = {
        sources = ["local" "restic"];
        paths = ["db"];
      };
    };
  };
}
