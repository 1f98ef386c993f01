# A host with five services. `stateward template show NAME --set repository=sftp:backup@nas:/srv/restic -o nix >NAME.nix` wrote the files that it imports.
{
  imports = [./sonarr.nix ./radarr.nix ./plex.nix ./home-assistant.nix ./postgresql.nix];

  fileSystems."/" = {
    device = "rpool/local/root";
    fsType = "zfs";
  };
  fileSystems."/srv/media" = {
    device = "tank/media";
    fsType = "zfs";
  };

  # Every dataset below tank/services is sent to another machine: that is the source "replica".
  services.syncoid = {
    enable = true;
    commands.services = {
      source = "tank/services";
      target = "syncoid@nas:backup/forge/services";
      recursive = true;
    };
  };

  # What differs from the templates: what is restored is looked at before the service gets it, and somebody is told.
  stateward.services.sonarr = {
    preseed = {
      validate.sqlite = true;
      minBytes = 1000000;
      maxAge = "30d";
    };
  };
  stateward.services.radarr = {
    preseed = {
      validate.sqlite = true;
      minBytes = 1000000;
      maxAge = "30d";
    };
  };
  stateward.services.home-assistant = {preseed = {validate.sqlite = true;};};
  stateward.services.plex = {
    backup.notify = {
      onFailure = "critical";
      onSuccess = "success";
    };
  };
  stateward.services.postgresql = {
    preseed = {
      sources = ["local" "replica"];
      validate.command = "test -s $1/16/PG_VERSION";
    };
  };
}
