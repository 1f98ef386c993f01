{
  forge.config = {
    networking.hostName = "forge";
    fileSystems."/" = {
      device = "rpool/local/root";
      fsType = "zfs";
    };
    stateward.backup = {
      repositories.nas = {
        url = "sftp:backup@nas:/srv/restic/forge";
        passwordFile = "/run/secrets/restic";
      };
      defaults = {
        schedule = "daily";
        prune = ["--keep-daily 7"];
        metricsDir = "/var/lib/node_exporter";
        notify.onFailure = "critical";
      };
    };
    stateward.services = {
      paperless = {
        enable = true;
        units = ["paperless-web" "paperless-scheduler"];
        dataDir = "/var/lib/paperless";
        dataset = {
          name = "tank/services/paperless";
          properties = {
            recordsize = "16K";
            compression = "zstd";
          };
          owner = "paperless";
          group = "paperless";
          mode = "0750";
          replication = {
            target = "syncoid@nas:backup/forge/paperless";
            sshKey = "/run/secrets/syncoid-key";
            hostKeys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4lqyM9T2ZrTn2UNtHOB3rOJm7MvdGsVGYF5PTsJ2SG"];
            raw = false;
          };
        };
        backup = {};
        preseed = {
          maxAge = "30d";
          minBytes = 1000000;
          validate.sqlite = true;
          timeout = "12h";
        };
      };
      # It has snapshots on its own pool, and nothing else.
      thumbnails = {
        enable = true;
        unit = "thumbnails";
        dataset = {
          name = "tank/services/thumbnails";
          mountpoint = "/var/cache/thumbnails";
        };
        preseed = {
          onNoBackup = "start-empty";
          reason = "they are made anew from the photos";
        };
      };
      photos = {
        enable = true;
        unit = "photos";
        dataset = {
          name = "tank/services/photos";
          mountpoint = "/var/lib/photos";
        };
        preseed.sources = ["local" "restic"];
      };
    };
  };
}
