{
  config = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    fileSystems."/srv/media" = {
      device = "tank/media";
      fsType = "zfs";
    };
    modules.storage.datasets.utility."tank/media".mountpoint = "legacy";
    systemd.services.zfs-service-datasets.wantedBy = ["multi-user.target"];
  };
}
