# The same two hosts as a change would have them.
let
  old = import ./old.nix;
in {
  inherit (old) attic;
  forge.config =
    old.forge.config
    // {
      # sonarr was forgotten, and the photos moved to a dataset of their own.
      environment.persistence."/persist".directories = ["/var/lib/nixos"];
      environment.persistence."/persist".files = ["/etc/machine-id"];
      fileSystems =
        old.forge.config.fileSystems
        // {
          "/srv/photos" = {
            device = "tank/photos";
            fsType = "zfs";
          };
        };
      services =
        old.forge.config.services
        // {
          sanoid = {
            enable = true;
            interval = "hourly";
            datasets."rpool/persist" = {
              hourly = 36;
              daily = 14;
              monthly = 12;
            };
          };
          restic.backups.nightly =
            old.forge.config.services.restic.backups.nightly
            // {
              paths = ["/srv/photos"];
              pruneOpts = ["--keep-daily 7"];
            };
        };
      stateward.services.paperless =
        old.forge.config.stateward.services.paperless
        // {
          dataset = {
            name = "tank/services/paperless";
            mountpoint = "/var/lib/paperless";
            properties.recordsize = "128K";
          };
          preseed = {
            sources = ["local"];
            onNoBackup = "start-empty";
            reason = "the scanner has the papers";
          };
        };
    };
}
