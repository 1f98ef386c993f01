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
    # The service reads it where it lies.
    services.radarr = {
      enable = true;
      dataDir = "/persist/var/lib/radarr";
    };
    environment.persistence."/persist".files = ["/etc/machine-id"];
    environment.persistence."/persist".directories = ["/var/lib/nixos"];
  };
}
