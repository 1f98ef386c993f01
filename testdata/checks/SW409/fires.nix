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
