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
    # What no check reads yet is listed, and is no finding.
    systemd.services.radarr = {
      serviceConfig.StateDirectory = "radarr";
      after = throw "no order today";
    };
    environment.persistence."/persist".directories = ["/var/lib/radarr"];
    environment.persistence."/persist".files = ["/etc/machine-id"];
  };
}
