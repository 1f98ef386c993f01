{
  config = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    modules.storage.datasets.utility = {
      "tank/media-tv".mountpoint = "/srv/a";
      "tank/media/tv".mountpoint = "/srv/b";
    };
    systemd.services.zfs-service-datasets.wantedBy = ["multi-user.target"];
  };
}
