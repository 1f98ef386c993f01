# An example of docs/migrate.md: a service whose data lies in a directory, and is to get a dataset of its own.
{
  forge.config = {
    modules.storage.datasets = {
      enable = true;
      parentDataset = "tank/services";
      services.sonarr = {
        enable = true;
        mountpoint = "/var/lib/sonarr";
        recordsize = "16K";
        compression = "zstd";
        owner = "sonarr";
        group = "media";
        mode = "0750";
        properties.acltype = "posix";
      };
    };
    fileSystems = {
      "/" = {
        device = "rpool/local/root";
        fsType = "zfs";
      };
      "/var/lib" = {
        device = "rpool/safe/lib";
        fsType = "zfs";
      };
    };
    systemd.services = {
      sonarr.serviceConfig = {
        StateDirectory = "sonarr";
        User = "sonarr";
      };
      # It reads what the other one writes.
      bazarr.serviceConfig = {
        StateDirectory = "bazarr";
        ReadWritePaths = ["/var/lib/sonarr/media"];
      };
    };
    services.restic.backups.apps = {
      paths = ["/var/lib/sonarr" "/var/lib/bazarr"];
      repositoryFile = "/run/secrets/restic-repository";
      passwordFile = "/run/secrets/restic-password";
      environmentFile = "/run/secrets/restic-environment";
      timerConfig.OnCalendar = "daily";
    };
  };
}
