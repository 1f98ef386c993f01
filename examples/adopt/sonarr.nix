# The same of sonarr, in the contract.
{
  stateward.services.sonarr = {
    enable = true;
    unit = "sonarr";
    user = "sonarr";
    group = "sonarr";
    dataDir = "/var/lib/sonarr";

    dataset = {
      name = "rpool/services/sonarr";
      owner = "sonarr";
      group = "sonarr";
      mode = "0700";
      properties = {
        recordsize = "16K";
        compression = "zstd";
      };
    };
  };
}
