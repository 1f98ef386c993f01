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
    environment.persistence."/persist".directories = ["/var/lib/../srv" "/tmp/cache" ""];
    environment.persistence."/persist".files = ["/etc/machine-id"];
    services.sonarr = {
      enable = true;
      dataDir = "data/sonarr";
    };
  };
}
