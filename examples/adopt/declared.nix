# What that module is told.
{
  modules.storage.datasets = {
    enable = true;
    parentDataset = "rpool/services";
    parentMount = "/var/lib";
    services.sonarr = {
      recordsize = "16K";
      compression = "zstd";
      owner = "sonarr";
      group = "sonarr";
      mode = "0700";
    };
    services.radarr = {
      recordsize = "16K";
      owner = "radarr";
      group = "radarr";
      mode = "0700";
    };
  };

  modules.services.sonarr = {
    enable = true;
    dataDir = "/var/lib/sonarr";
    user = "sonarr";
    group = "sonarr";
  };
  modules.services.radarr = {
    enable = true;
    dataDir = "/var/lib/radarr";
    user = "radarr";
    group = "radarr";
  };
}
