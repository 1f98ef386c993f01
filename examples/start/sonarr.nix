# What Sonarr's state is worth, where it lies, and how it comes back.
{
  stateward.services.sonarr = {
    enable = true;
    unit = "sonarr";
    user = "sonarr";
    group = "sonarr";
    dataDir = "/var/lib/sonarr";

    dataset = {
      name = "rpool/safe/sonarr";
      owner = "sonarr";
      group = "sonarr";
      mode = "0700";
      properties.recordsize = "16K"; # SQLite
    };

    backup = {
      repository = "nas";
      schedule = "daily";
      prune = ["--keep-daily 14"];
    };

    preseed = {};
  };

  stateward.backup.repositories.nas = {
    url = "sftp:backup@nas:/srv/restic/forge";
    passwordFile = "/persist/secrets/restic";
  };
}
