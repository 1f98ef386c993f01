{
  config = {
    fileSystems."/" = {
      device = "tmpfs";
      fsType = "tmpfs";
    };
    fileSystems."/persist" = {
      device = "rpool/safe/persist";
      fsType = "zfs";
      neededForBoot = true;
    };
    fileSystems."/srv/media" = {
      device = "tank/media";
      fsType = "zfs";
    };
    fileSystems."/srv/films" = {
      device = "tank/films";
      fsType = "zfs";
    };
  };
}
