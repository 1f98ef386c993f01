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
        user = "root";
        group = "media";
        mode = "0700";
      }
    ];
    qgroget.services.sonarr.persistedData = [
      {
        directory = "/var/lib/sonarr";
        user = "sonarr";
        group = "media";
        mode = "0750";
      }
    ];
    environment.persistence."/persist".files = ["/etc/machine-id"];
  };
}
