# The same by the module of stateward, with owners.
{
  stateward.persistence = {
    enable = true;
    root = "/persist";
  };

  stateward.services = {
    sonarr = {
      enable = true;
      unit = "sonarr";
      user = "sonarr";
      group = "sonarr";
      dataDir = "/var/lib/sonarr";
    };
    radarr = {
      enable = true;
      unit = "radarr";
      user = "radarr";
      group = "radarr";
      dataDir = "/var/lib/radarr";
    };
  };
}
