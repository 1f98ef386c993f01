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
    # The unit says where its state is, and nobody persists it.
    systemd.services.sonarr.serviceConfig.StateDirectory = "sonarr";
    environment.persistence."/persist".directories = ["/var/lib/nixos"];
    environment.persistence."/persist".files = ["/etc/machine-id"];
  };
}
