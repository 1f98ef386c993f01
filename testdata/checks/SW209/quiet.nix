{
  config = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    modules.storage.datasets.utility."tank/sonarr" = {
      mountpoint = "/var/lib/sonarr";
      owner = "568";
      group = "568";
      mode = "0750";
    };
    systemd.tmpfiles.rules = ["d /var/lib/sonarr 0750 568 568 -"];
    systemd.services.zfs-service-datasets.wantedBy = ["multi-user.target"];
  };
}
