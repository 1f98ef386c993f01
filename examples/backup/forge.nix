# What a host declares of its backups: three services, two repositories.
{
  forge.config = {
    networking.hostName = "forge";
    fileSystems."/" = {
      device = "rpool/local/root";
      fsType = "zfs";
    };
    fileSystems."/persist" = {
      device = "rpool/safe/persist";
      fsType = "zfs";
    };
    environment.persistence."/persist" = {directories = ["/var/lib/paperless" "/var/lib/nextcloud"];};

    stateward.backup = {
      repositories.nas = {
        url = "sftp:backup@nas:/srv/restic/forge";
        passwordFile = "/run/secrets/restic";
        primary = true;
      };
      repositories.offsite = {
        urlFile = "/run/secrets/offsite-url";
        passwordFile = "/run/secrets/offsite";
      };
      defaults = {
        schedule = "daily";
        randomizedDelay = "30min";
        prune = ["--keep-daily 7" "--keep-weekly 5"];
      };
    };
    stateward.services = {
      paperless = {
        enable = true;
        unit = "paperless-web";
        dataDir = "/var/lib/paperless";
        backup = {
          repositories = ["nas" "offsite"];
          consistency = "quiesce";
          exclude = ["/var/lib/paperless/log"];
          drill = {
            every = "30d";
            command = "test -s $STATEWARD_DRILL_DIR/persist/var/lib/paperless/db.sqlite3";
          };
          notify = {
            onStart = "start";
            onSuccess = "success";
            onFailure = "critical";
          };
        };
      };
      nextcloud = {
        enable = true;
        dataDir = "/var/lib/nextcloud";
        notifications.enable = true;
        backup = {
          repository = "nsa";
          dump = {
            command = "runuser -u postgres -- pg_dump nextcloud >/var/backup/nextcloud/db.sql";
            directory = "/var/backup/nextcloud";
          };
        };
      };
    };
  };
}
