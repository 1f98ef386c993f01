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
    systemd.tmpfiles.rules = ["d /var/lib/sonarr - - - -" "d /srv/media 0750 568 568 -" "z /srv/media 0770 - - -"];
  };
}
