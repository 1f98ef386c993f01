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
    fileSystems."/var/lib/postgresql" = {
      device = "rpool/safe/postgresql";
      fsType = "zfs";
    };
    environment.persistence."/persist".directories = ["/var/lib/postgresql"];
    environment.persistence."/persist".files = ["/etc/machine-id"];
  };
}
