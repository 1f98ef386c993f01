{
  config = {
    fileSystems."/" = {
      device = "tmpfs";
      fsType = "tmpfs";
    };
    fileSystems."/data" = {
      device = "rpool/safe/data";
      fsType = "zfs";
      neededForBoot = true;
    };
    environment.persistence."/data/persist".directories = ["/var/lib/nixos"];
    environment.persistence."/data/persist".files = ["/etc/machine-id"];
  };
}
