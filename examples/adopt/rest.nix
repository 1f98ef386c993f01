# What is left of it once sonarr has gone over.
{
  modules.storage.datasets = {
    enable = true;
    parentDataset = "rpool/services";
    parentMount = "/var/lib";
    services.radarr = {
      recordsize = "16K";
      owner = "radarr";
      group = "radarr";
      mode = "0700";
    };
  };

  modules.services.radarr = {
    enable = true;
    dataDir = "/var/lib/radarr";
    user = "radarr";
    group = "radarr";
  };
}
