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
    # Grafana ran before it was persisted, and nobody has copied its data.
    systemd.services.grafana.serviceConfig = {
      StateDirectory = "grafana";
      User = "grafana";
    };
    environment.persistence."/persist".files = ["/etc/machine-id"];
    environment.persistence."/persist".directories = ["/var/lib/nixos" "/var/lib/grafana"];
  };
}
