{
  config = {
    fileSystems."/" = {
      device = "tmpfs";
      fsType = "tmpfs";
    };
    fileSystems."/data" = {
      device = "rpool/safe/data";
      fsType = "zfs";
      neededForBoot = false;
    };
    # The root of persistence lies below the mount point: Impermanence's own assertion does not see it.
    environment.persistence."/data/persist".directories = ["/var/lib/nixos"];
    environment.persistence."/data/persist".files = ["/etc/machine-id"];
  };
}
