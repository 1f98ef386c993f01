# Two hosts as they run today.
{
  attic.config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
  };
  forge.config = {
    networking.hostName = "forge";
    fileSystems = {
      "/" = {
        device = "none";
        fsType = "tmpfs";
      };
      "/persist" = {
        device = "rpool/persist";
        fsType = "zfs";
        neededForBoot = true;
      };
    };
    environment.persistence."/persist".directories = ["/var/lib/nixos" "/var/lib/sonarr" "/srv/photos"];
    environment.persistence."/persist".files = ["/etc/machine-id"];
    services.sanoid = {
      enable = true;
      interval = "hourly";
      datasets."rpool/persist" = {
        hourly = 36;
        daily = 90;
        monthly = 12;
      };
    };
    services.restic.backups.nightly = {
      paths = ["/persist/var/lib/sonarr" "/persist/srv/photos"];
      repository = "sftp:backup@nas:/srv/restic/forge";
      passwordFile = "/run/secrets/restic";
      timerConfig.OnCalendar = "daily";
      pruneOpts = ["--keep-daily 30" "--keep-monthly 12"];
    };
    systemd.services.sonarr.serviceConfig.StateDirectory = "sonarr";
    stateward.services.paperless = {
      enable = true;
      unit = "paperless";
      dataset = {
        name = "tank/services/paperless";
        mountpoint = "/var/lib/paperless";
        properties.recordsize = "16K";
      };
      preseed = {
        sources = ["local"];
        maxAge = "30d";
        validate.sqlite = true;
      };
    };
  };
}
