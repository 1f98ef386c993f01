# A host that wipes its root at every boot, and runs Sonarr.
{
  networking.hostName = "forge";

  fileSystems = {
    "/" = {
      device = "tmpfs";
      fsType = "tmpfs";
    };
    "/nix" = {
      device = "rpool/local/nix";
      fsType = "zfs";
    };
    "/persist" = {
      device = "rpool/safe/persist";
      fsType = "zfs";
      neededForBoot = true;
    };
  };

  environment.persistence."/persist" = {
    directories = [
      "/var/lib/nixos"
      "/var/lib/systemd"
    ];
    files = ["/etc/machine-id"];
  };

  services.sonarr = {
    enable = true;
    dataDir = "/var/lib/sonarr";
  };
}
