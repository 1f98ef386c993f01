{
  config = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    disko.devices.zpool.tank.datasets.media = {
      type = "zfs_fs";
      options = {
        mountpoint = "/srv/media";
        snapdir = "visible";
      };
    };
    systemd.tmpfiles.rules = ["Z /srv/media 0750 568 568 -"];
  };
}
