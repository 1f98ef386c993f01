{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    stateward.services.paperless = {
      enable = true;
      dataDir = "/srv/paperless";
      dataset = {name = "tank/services/paperless";};
    };
  };
}
