{
  config = {
    fileSystems."/" = {
      device = "tmpfs";
      fsType = "tmpfs";
    };
    fileSystems."/persist" = {
      device = "rpool/safe/persist";
      fsType = "zfs";
      neededForBoot = true;
    };
    fileSystems."/srv" = {
      device = "/dev/disk/by-label/srv";
      fsType = "ext4";
    };
    disko.devices.zpool.tank.datasets.media = {
      type = "zfs_fs";
      options.mountpoint = "/media";
    };
  };
}
