{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    stateward.services.paperless = {
      enable = true;
      dataDir = "/srv/paperless";
      protection = {
        tiers = ["site"];
        rpo.site = "1d 5h";
      };
    };
    services.restic.backups.paperless = {
      paths = ["/srv/paperless"];
      repository = "b2:bucket:forge";
      passwordFile = "/run/secrets/restic";
      environmentFile = "/run/secrets/b2";
      timerConfig = {
        OnCalendar = "daily";
        RandomizedDelaySec = "4h";
        Persistent = true;
      };
    };
  };
}
