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
    # The second is joined to "/".
    environment.persistence."/persist".directories = ["/var/lib/sonarr" "var/lib/radarr" "/srv/..data"];
    environment.persistence."/persist".files = ["/etc/machine-id"];
    services.sonarr = {
      enable = true;
      dataDir = "/var/lib/sonarr";
    };
  };
}
