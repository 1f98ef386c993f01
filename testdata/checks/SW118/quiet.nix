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
    services.openssh = {
      enable = true;
      hostKeys = [
        {
          path = "/etc/ssh/ssh_host_ed25519_key";
          type = "ed25519";
        }
      ];
    };
    systemd.timers.restic.timerConfig.Persistent = true;
    environment.persistence."/persist" = {
      directories = ["/var/lib/nixos" "/var/lib/systemd"];
      files = ["/etc/machine-id" "/etc/ssh/ssh_host_ed25519_key"];
    };
  };
}
