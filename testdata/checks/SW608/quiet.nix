# The plan beside persists what sonarr keeps.
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
    stateward.plan = ./plan.json;
  };
}
