# Backup jobs: restic and borg.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkOption types;

  strings = description:
    mkOption {
      type = types.listOf types.str;
      default = [];
      inherit description;
    };
  maybe = type: description:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit description;
    };

  restic.options = {
    # NixOS takes a string here. Elsewhere it takes paths, and the mistake that
    # hosts/attic makes with one is common, so this example shows it where it hurts most.
    passwordFile = mkOption {
      type = types.path;
      description = "The file with the repository's password.";
    };
    environmentFile = maybe types.str "A file with credentials, in the format of EnvironmentFile=.";
    repository = maybe types.str "The repository.";
    repositoryFile = maybe types.path "A file that names the repository.";
    paths = mkOption {
      type = types.nullOr (types.listOf types.str);
      default = [];
      description = "What to back up.";
    };
    exclude = strings "Patterns to leave out.";
    initialize = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to create the repository.";
    };
    pruneOpts = strings "Options of restic forget --prune.";
    checkOpts = strings "Options of restic check.";
    extraBackupArgs = strings "More options of restic backup.";
    user = mkOption {
      type = types.str;
      default = "root";
      description = "Who runs the job.";
    };
    backupPrepareCommand = maybe types.str "Commands run before.";
    backupCleanupCommand = maybe types.str "Commands run after.";
    timerConfig = mkOption {
      type = types.nullOr (types.attrsOf types.anything);
      default = {
        OnCalendar = "daily";
        Persistent = true;
      };
      description = "When to run; null for no timer.";
    };
  };

  borg.options = {
    paths = maybe (types.coercedTo types.str (path: [path]) (types.listOf types.str)) "What to back up.";
    repo = mkOption {
      type = types.str;
      description = "The repository.";
    };
    exclude = strings "Patterns to leave out.";
    startAt = mkOption {
      type = types.either types.str (types.listOf types.str);
      default = "daily";
      description = "When to run; [ ] for no timer.";
    };
    user = mkOption {
      type = types.str;
      default = "root";
      description = "Who runs the job.";
    };
    encryption.mode = mkOption {
      type = types.enum ["repokey" "keyfile" "repokey-blake2" "keyfile-blake2" "authenticated" "none"];
      description = "How the repository is encrypted.";
    };
    encryption.passCommand = maybe types.str "A command that prints the passphrase.";
    doInit = mkOption {
      type = types.bool;
      default = true;
      description = "Whether to create the repository.";
    };
    prune.keep = mkOption {
      type = types.attrsOf (types.either types.int types.str);
      default = {};
      description = "How many archives to keep of each kind.";
    };
  };

  units = prefix:
    lib.mapAttrs' (name: job:
      lib.nameValuePair "${prefix}-${name}" {
        wants = ["network-online.target"];
        after = ["network-online.target"];
        serviceConfig = {
          Type = "oneshot";
          User = job.user;
          CacheDirectory = "${prefix}-${name}";
        };
      });
in {
  options = {
    services.restic.backups = mkOption {
      type = types.attrsOf (types.submodule restic);
      default = {};
      description = "restic jobs.";
    };
    services.borgbackup.jobs = mkOption {
      type = types.attrsOf (types.submodule borg);
      default = {};
      description = "borg jobs.";
    };
  };

  config.systemd = {
    services = lib.mkMerge [
      (units "restic-backups" config.services.restic.backups)
      (units "borgbackup-job" config.services.borgbackup.jobs)
    ];
    timers = lib.mkMerge [
      (lib.mapAttrs'
        (name: job:
          lib.nameValuePair "restic-backups-${name}" {
            wantedBy = ["timers.target"];
            inherit (job) timerConfig;
          })
        (lib.filterAttrs (_: job: job.timerConfig != null) config.services.restic.backups))
      (lib.mapAttrs'
        (name: job:
          lib.nameValuePair "borgbackup-job-${name}" {
            wantedBy = ["timers.target"];
            timerConfig.OnCalendar = job.startAt;
          })
        (lib.filterAttrs (_: job: job.startAt != []) config.services.borgbackup.jobs))
    ];
  };
}
