{
  config = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    stateward.services.sonarr = {
      enable = true;
      dataset = {
        name = "tank/services/sonarr";
        mountpoint = "/srv/sonarr";
        properties.recordsize = "16K";
      };
    };
    modules.storage.datasets.utility."tank/services/sonarr" = {
      mountpoint = "/srv/sonarr";
      recordsize = "16384";
    };
    systemd.services.zfs-service-datasets.wantedBy = ["multi-user.target"];
  };
}
