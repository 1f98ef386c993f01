{
  config = {
    # There is no file system for the persistence root, so it lies on the root that is rolled back.
    fileSystems."/" = {
      device = "rpool/local/root";
      fsType = "zfs";
    };
    boot.initrd.postResumeCommands = "zfs rollback -r rpool/local/root@blank";
    environment.persistence."/persist".directories = ["/var/lib/nixos"];
    environment.persistence."/persist".files = ["/etc/machine-id"];
  };
}
