{
  config = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    systemd.services.sonarr.serviceConfig = {
      User = "568";
      StateDirectory = "sonarr";
    };
    systemd.tmpfiles.rules = ["d /var/lib/sonarr 0755 root root -"];
  };
}
