{
  config = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    stateward.services.notes = {
      enable = true;
      dataDir = "/var/lib/notes";
      dataset = {
        name = "tank/services/notes";
        profile = "sqlite";
        properties.recordsize = "16K";
      };
    };
  };
}
