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
    # Every id is written down: there is nothing to remember.
    users.users.sonarr = {
      uid = 274;
      group = "sonarr";
    };
    users.groups.sonarr.gid = 274;
    environment.persistence."/persist".directories = ["/var/lib/sonarr"];
    environment.persistence."/persist".files = ["/etc/machine-id"];
  };
}
