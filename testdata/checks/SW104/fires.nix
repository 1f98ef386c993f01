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
    systemd.services.ntfy.serviceConfig = {
      StateDirectory = "ntfy";
      DynamicUser = "true";
    };
    environment.persistence."/persist".directories = ["/var/lib/ntfy"];
    environment.persistence."/persist".files = ["/etc/machine-id"];
  };
}
