{
  config = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    users.users.sonarr = {
      uid = 568;
      group = "media";
    };
    users.groups.media.gid = 568;
    modules.services.sonarr = {
      enable = true;
      dataDir = "/var/lib/sonarr";
      user = "sonarr";
      group = "media";
    };
    modules.storage.datasets = {
      parentDataset = "tank/services";
      services.sonarr = {
        mountpoint = "/var/lib/sonarr";
        owner = "sonarr";
        group = "media";
        mode = "0750";
      };
    };
    systemd.services.zfs-service-datasets.wantedBy = ["multi-user.target"];
    systemd.services.sonarr = {
      wantedBy = ["multi-user.target"];
      requires = ["zfs-service-datasets.service"];
      after = ["zfs-service-datasets.service"];
    };
  };
}
