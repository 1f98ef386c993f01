{
  config = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    modules.services.sonarr = {
      enable = true;
      dataDir = "/var/lib/sonarr";
    };
    modules.storage.datasets = {
      parentDataset = "tank/services";
      services.sonarr = {mountpoint = "/var/lib/sonarr";};
    };
    systemd.services.zfs-service-datasets.wantedBy = ["multi-user.target"];
    systemd.services.sonarr = {
      wantedBy = ["multi-user.target"];
      requires = ["zfs-service-datasets.service"];
      after = ["zfs-service-datasets.service"];
    };
  };
}
