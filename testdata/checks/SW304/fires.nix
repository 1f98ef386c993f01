{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    stateward.services.paperless = {
      enable = true;
      dataDir = "/srv/paperless";
      protection.tiers = ["disk" "site"];
    };
    services.restic.backups.paperless = {
      paths = ["/srv/photos"];
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
