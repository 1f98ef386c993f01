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
        group = "media";
        mode = "0750";
      }
    ];
    qgroget.services.sonarr.persistedData = [
      {
        directory = "/var/lib/sonarr";
        user = "sonarr";
        group = "media";
        mode = "u=rwx,g=rx,o=";
      }
    ];
    environment.persistence."/persist".files = ["/etc/machine-id"];
  };
}
