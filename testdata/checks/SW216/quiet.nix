{
  config = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    disko.devices.zpool.tank.datasets.db = {
      type = "zfs_fs";
      options.mountpoint = "/var/lib/db";
    };
    systemd.services.db = {
      wantedBy = ["multi-user.target"];
      unitConfig = {
        RequiresMountsFor = "/var/lib/db/data";
        AssertPathIsMountPoint = "/var/lib/db";
      };
    };
  };
}
