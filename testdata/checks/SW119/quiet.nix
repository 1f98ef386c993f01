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
    users.users.alice = {
      isNormalUser = true;
      uid = 1000;
      home = "/home/alice";
    };
    environment.persistence."/persist" = {
      directories = ["/var/lib/nixos"];
      files = ["/etc/machine-id"];
      users.alice.directories = [
        {
          directory = "Documents";
          dirPath = "/home/alice/Documents";
          home = "/home/alice";
        }
      ];
    };
  };
}
