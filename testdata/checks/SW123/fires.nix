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
    # The directory was made before its mode was written down, and Impermanence does not change it.
    environment.persistence."/persist".files = ["/etc/machine-id"];
    environment.persistence."/persist".directories = [
      "/var/lib/nixos"
      {
        directory = "/var/lib/private";
        user = "root";
        group = "root";
        mode = "0700";
      }
    ];
  };
}
