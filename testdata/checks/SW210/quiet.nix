{
  config = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    modules.storage.datasets.utility."tank/media".mountpoint = "/srv/forge";
    systemd.services.zfs-service-datasets.wantedBy = ["multi-user.target"];
  };
}
