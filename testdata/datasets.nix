# An example of docs/datasets.md: one host that declares a dataset for a service.
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
      };
    };
    systemd.services.sonarr.serviceConfig = {
      StateDirectory = "sonarr";
      User = "sonarr";
    };
  };
}
