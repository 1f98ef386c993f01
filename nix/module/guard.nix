# Refuses a switch that would lose data: docs/guard.md. What the configuration evaluates to goes with the system, and before a switch that of the
# running system is compared with that of the incoming one.
{
  config,
  options,
  lib,
  ...
}: let
  inherit (lib) mkIf mkOption types;
  cfg = config.stateward.guard;

  name = config.networking.hostName or "";
  evaluation = import ../evaluation.nix {
    self = {
      outPath = "/stateward-guard";
      nixosConfigurations.${
        if name == ""
        then "host"
        else name
      } = {
        inherit config options;
      };
    };
    config = false;
    locations = false;
  };
  file = builtins.toFile "stateward-evaluation.json" cfg.evaluation;

  said = text: text != null && builtins.match "[ \t\n]*" text == null;
  quoted = text: "'" + builtins.replaceStrings ["'"] ["'\\''"] text + "'";
  program =
    if cfg.package == null
    then "\"\${1-}/sw/bin/stateward\""
    else quoted "${cfg.package}/bin/stateward";
  override = cfg.override;
  given = flag: value:
    if value == null
    then ""
    else " ${flag} ${quoted value}";
in {
  # The others are of the table: services.nix.
  options.stateward.guard.evaluation = mkOption {
    type = types.str;
    internal = true;
    # By which nix is not told: a system must be the same, whoever evaluates it.
    default = builtins.toJSON (evaluation // {nix = "";});
    description = "What the configuration evaluates to, as stateward eval writes it.";
  };

  config = mkIf cfg.enable ({
      assertions = [
        {
          assertion = override.digest == null && override.reason == null || said override.digest && said override.reason;
          message = "stateward.guard.override needs digest and reason: which change is meant, and why it may lose data";
        }
        {
          assertion = options ? system.preSwitchChecks && options ? system.systemBuilderCommands;
          message = "stateward.guard.enable is true, and this NixOS has no system.preSwitchChecks: nothing would look before a switch";
        }
      ];
    }
    # An option that an older NixOS does not have must not be named, be the guard on or off.
    // lib.optionalAttrs (options ? system.preSwitchChecks && options ? system.systemBuilderCommands) {
      system.systemBuilderCommands = ''
        mkdir -p $out/stateward
        ln -s ${file} $out/stateward/evaluation.json
      '';
      # The status of the last command is that of the check: where the program is not there, or ends in any other way than well, the switch is refused.
      system.preSwitchChecks.stateward = ''
        ${program} guard --old ${quoted "${cfg.running}/stateward/evaluation.json"} --new ${quoted "${file}"} --action "''${2:-switch}" --state-dir ${quoted cfg.stateDir}${given "--override-digest" override.digest}${given "--override-reason" override.reason}
      '';
    });
}
