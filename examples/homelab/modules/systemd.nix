{lib, ...}: let
  inherit (lib) mkOption types;

  units = description:
    mkOption {
      type = types.listOf types.str;
      default = [];
      inherit description;
    };
  section = description:
    mkOption {
      type = types.attrsOf types.anything;
      default = {};
      inherit description;
    };

  # What all units have.
  unit = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the unit may start.";
    };
    description = mkOption {
      type = types.str;
      default = "";
      description = "What the unit is.";
    };
    wantedBy = units "Units that want this one.";
    requiredBy = units "Units that need this one.";
    requires = units "Units that must run, or this one does not.";
    wants = units "Units that should run as well.";
    after = units "Units that start before this one.";
    before = units "Units that start after this one.";
    requisite = units "Units that must run already, or this one does not.";
    onFailure = units "Units that start when this one fails.";
    onSuccess = units "Units that start when this one ends well.";
    overrideStrategy = mkOption {
      type = types.enum ["asDropinIfExists" "asDropin"];
      default = "asDropinIfExists";
      description = "Whether this only adds to a unit.";
    };
    unitConfig = section "Settings of the [Unit] section.";
    # As in NixOS, this has neither a default nor, as a rule, a value: whoever reads all of
    # systemd.services at once must reckon with that.
    startLimitBurst = mkOption {
      type = types.int;
      description = "How often the unit may start in an interval.";
    };
  };

  service.options =
    unit
    // {
      environment = mkOption {
        type = types.attrsOf (types.nullOr types.str);
        default = {};
        description = "Environment variables.";
      };
      preStart = mkOption {
        type = types.lines;
        default = "";
        description = "Commands run before the main process.";
      };
      script = mkOption {
        type = types.lines;
        default = "";
        description = "Commands run as the main process.";
      };
      path = mkOption {
        type = types.listOf types.anything;
        default = [];
        description = "Packages whose programs the unit finds.";
      };
      restartIfChanged = mkOption {
        type = types.bool;
        default = true;
        description = "Whether a switch restarts the unit where it changed.";
      };
      reloadIfChanged = mkOption {
        type = types.bool;
        default = false;
        description = "Whether a switch reloads it in place of that.";
      };
      serviceConfig = section "Settings of the [Service] section.";
    };

  timer.options = unit // {timerConfig = section "Settings of the [Timer] section.";};

  mount.options =
    unit
    // {
      what = mkOption {
        type = types.str;
        description = "What is mounted.";
      };
      where = mkOption {
        type = types.str;
        description = "Where it is mounted.";
      };
      type = mkOption {
        type = types.str;
        default = "";
        description = "The type of the filesystem.";
      };
      options = mkOption {
        type = types.str;
        default = "";
        description = "Mount options, separated by commas.";
      };
      mountConfig = section "Settings of the [Mount] section.";
    };

  named = unitType: description:
    mkOption {
      type = types.attrsOf (types.submodule unitType);
      default = {};
      inherit description;
    };
in {
  options = {
    systemd.services = named service "Services.";
    systemd.timers = named timer "Timers.";
    systemd.sockets = named {options = unit;} "Sockets.";
    systemd.paths = named {options = unit;} "Paths that are watched.";
    systemd.targets = named {options = unit;} "Targets.";
    systemd.mounts = mkOption {
      type = types.listOf (types.submodule mount);
      default = [];
      description = "Mounts other than fileSystems.";
    };
    systemd.tmpfiles.rules = mkOption {
      type = types.listOf types.str;
      default = [];
      description = "Files and directories to create at boot, in the language of tmpfiles.d(5).";
    };
    boot.initrd.systemd.services = named service "Services that run in the initrd.";
  };
}
