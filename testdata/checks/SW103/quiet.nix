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
        directory = "/var/lib/sonarr";
        user = "sonarr";
        group = "sonarr";
        mode = "0750";
      }
    ];
    environment.persistence."/persist".files = ["/etc/machine-id"];
  };
}
