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
    # In /persist/var/lib lies what radarr kept, which nobody persists any more.
    environment.persistence."/persist".files = ["/etc/machine-id"];
    environment.persistence."/persist".directories = ["/var/lib/nixos"];
  };
}
