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
    environment.persistence."/persist".directories = [
      {
        directory = "/var/lib/private";
        mode = "u=rwx,g=,o=";
      }
    ];
    environment.persistence."/persist".files = ["/etc/machine-id"];
  };
}
