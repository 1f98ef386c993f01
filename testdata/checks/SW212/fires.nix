{
  config = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    disko.devices.zpool.tank.datasets.media = {
      type = "zfs_fs";
      options.mountpoint = "legacy";
    };
    fileSystems."/srv/media" = {
      device = "tank/media";
      fsType = "zfs";
      options = ["zfsutil"];
    };
  };
}
