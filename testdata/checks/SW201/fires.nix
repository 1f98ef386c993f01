{
  config = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    modules.storage.datasets.utility."tank/media" = {
      mountpoint = "/srv/media";
      recordsize = "20K";
    };
    systemd.services.zfs-service-datasets.wantedBy = ["multi-user.target"];
  };
}
