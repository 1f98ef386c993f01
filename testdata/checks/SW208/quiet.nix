{
  config = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    systemd.services.music-assistant = {
      wantedBy = ["multi-user.target"];
      after = ["zfs-service-datasets.service"];
      serviceConfig = {
        DynamicUser = true;
        StateDirectory = "music-assistant";
      };
    };
    modules.storage.datasets.utility."tank/music".mountpoint = "/var/lib/private/music-assistant";
    systemd.services.zfs-service-datasets.wantedBy = ["multi-user.target"];
  };
}
