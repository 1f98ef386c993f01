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
    # On a host with an older system.stateVersion its state is where it always was.
    systemd.services.vaultwarden.serviceConfig.StateDirectory = "bitwarden_rs";
    environment.persistence."/persist" = {
      directories = ["/var/lib/nixos" "/var/lib/vaultwarden"];
      files = ["/etc/machine-id"];
    };
  };
}
