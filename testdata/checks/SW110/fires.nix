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
    users.users.sonarr = {group = "sonarr";};
    users.groups.sonarr = {};
    environment.persistence."/persist".directories = ["/var/lib/sonarr"];
    environment.persistence."/persist".files = ["/etc/machine-id"];
  };
}
