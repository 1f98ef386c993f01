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
    systemd.services.sonarr.serviceConfig.StateDirectory = "sonarr";
    environment.persistence."/persist".directories = ["/var/lib/nixos" "/var/lib/sonarr"];
    environment.persistence."/persist".files = ["/etc/machine-id"];
  };
}
