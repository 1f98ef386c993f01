{config, ...}: let
  cfg = config.services.sonarr;
in {
  services.sonarr.enable = true;
  services.sonarr.dataDir = "/var/lib/sonarr";

  # Owner and mode are given, since whoever creates a directory first decides who may write to it.
  environment.persistence."/persist".directories = [
    {
      directory = cfg.dataDir;
      inherit (cfg) user group;
      mode = "0700";
    }
  ];
}
