# A root in memory, and a service whose data is persisted because it says where that is.
{
  fileSystems = {
    "/" = {
      device = "tmpfs";
      fsType = "tmpfs";
    };
    "/persist" = {
      device = "/dev/disk/by-label/persist";
      fsType = "ext4";
      neededForBoot = true;
    };
  };
  environment.persistence."/persist".files = ["/etc/machine-id"];

  services.sonarr.enable = true;
  stateward = {
    persistence.enable = true;
    services.sonarr = {
      enable = true;
      user = "sonarr";
      group = "sonarr";
      dataDir = "/var/lib/sonarr";
    };
  };

  system.stateVersion = "26.05";
}
