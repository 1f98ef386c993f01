# The acknowledgement is in stateward.toml beside.
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
    environment.persistence."/persist".directories = [];
    environment.persistence."/persist".files = ["/etc/machine-id"];
    systemd.services.sonarr.serviceConfig.StateDirectory = "sonarr";
  };
}
