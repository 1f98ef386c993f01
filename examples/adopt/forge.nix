# A host that wipes its root at every boot, and runs two services.
{
  networking.hostName = "forge";
  fileSystems."/" = {
    device = "tmpfs";
    fsType = "tmpfs";
  };
  fileSystems."/persist" = {
    device = "rpool/safe/persist";
    fsType = "zfs";
    neededForBoot = true;
  };
  environment.persistence."/persist" = {
    directories = ["/var/lib/nixos" "/var/lib/systemd"];
    files = ["/etc/machine-id"];
  };

  services.sonarr = {
    enable = true;
    dataDir = "/var/lib/sonarr";
  };
  services.radarr = {
    enable = true;
    dataDir = "/var/lib/radarr";
  };
}
