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
    # Which dataset is rolled back is only known when the script runs.
    boot.initrd.postResumeCommands = ''zfs rollback -r "$(cat /etc/wiped)@blank"'';
    environment.persistence."/persist".directories = ["/var/lib/nixos"];
    environment.persistence."/persist".files = ["/etc/machine-id"];
  };
}
