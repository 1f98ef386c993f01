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
    systemd.services.sonarr.serviceConfig.StateDirectory = throw "no directory today";
    systemd.services.radarr.serviceConfig.StateDirectory = "radarr";
    environment.persistence."/persist".directories = ["/var/lib/radarr"];
    environment.persistence."/persist".files = ["/etc/machine-id"];
  };
}
