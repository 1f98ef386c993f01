{
  config = {
    fileSystems."/" = {
      device = "rpool/local/root";
      fsType = "zfs";
    };
    fileSystems."/persist" = {
      device = "rpool/safe/persist";
      fsType = "zfs";
      neededForBoot = true;
    };
    boot.initrd.postResumeCommands = "zfs rollback -r rpool/local/root@blank";
    environment.persistence."/persist".directories = ["/var/lib/nixos"];
    environment.persistence."/persist".files = ["/etc/machine-id"];
  };
}
