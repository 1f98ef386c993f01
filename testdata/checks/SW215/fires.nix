{
  config = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    users.users.sonarr = {
      uid = 568;
      group = "media";
    };
    users.groups.media.gid = 568;
    systemd.tmpfiles.rules = ["d /srv/media 0750 sonar media -"];
  };
}
