# Mistake, though a harmless one: Radarr is off, and its directory is still on the list.
{
  services.radarr = {
    enable = false;
    dataDir = "/var/lib/radarr";
  };

  environment.persistence."/persist".directories = [
    {
      directory = "/var/lib/radarr";
      user = "radarr";
      group = "radarr";
      mode = "0700";
    }
  ];
}
