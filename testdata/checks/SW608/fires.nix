# The plan beside was written before there was radarr.
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
      "/var/lib/nixos"
      "/var/lib/systemd"
      "/var/lib/sonarr"
    ];
    environment.persistence."/persist".files = ["/etc/machine-id"];
    systemd.services.sonarr.serviceConfig.StateDirectory = "sonarr";
    systemd.services.radarr.serviceConfig.StateDirectory = "radarr";
    stateward.plan = ./plan.json;
  };
}
