# Snapshots (sanoid) and their replication (syncoid).
{lib, ...}: let
  inherit (lib) mkEnableOption mkOption types;

  keep = kind:
    mkOption {
      type = types.nullOr types.ints.unsigned;
      default = null;
      description = "How many ${kind} snapshots to keep; null leaves it to the template.";
    };
  flag = description:
    mkOption {
      type = types.nullOr types.bool;
      default = null;
      inherit description;
    };
  strings = description:
    mkOption {
      type = types.listOf types.str;
      default = [];
      inherit description;
    };

  # Other keys of sanoid.conf are taken as they are.
  other = types.attrsOf (types.nullOr (types.oneOf [types.str types.int types.bool (types.listOf types.str)]));

  policy = {
    hourly = keep "hourly";
    daily = keep "daily";
    monthly = keep "monthly";
    yearly = keep "yearly";
    autosnap = flag "Whether to take snapshots.";
    autoprune = flag "Whether to remove old ones.";
  };

  dataset = {
    freeformType = other;
    options =
      policy
      // {
        use_template = strings "Templates to take settings from.";
        recursive = mkOption {
          type = types.either types.bool (types.enum ["zfs"]);
          default = false;
          description = ''Whether children are included; "zfs" takes all of them at one moment.'';
        };
        process_children_only = mkOption {
          type = types.bool;
          default = false;
          description = "Whether to leave the parent out.";
        };
      };
  };

  command = {name, ...}: {
    options = {
      source = mkOption {
        type = types.str;
        default = name;
        description = "The dataset to send.";
      };
      target = mkOption {
        type = types.str;
        description = "Where it goes: user@host:pool/dataset, or pool/dataset.";
      };
      recursive = mkEnableOption "the transfer of children";
      sshKey = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "The key file for ssh.";
      };
      sendOptions = mkOption {
        type = types.str;
        default = "";
        description = "Options of zfs send.";
      };
      recvOptions = mkOption {
        type = types.str;
        default = "";
        description = "Options of zfs receive.";
      };
      extraArgs = strings "More arguments of syncoid.";
      useCommonArgs = mkOption {
        type = types.bool;
        default = true;
        description = "Whether commonArgs are for this one too.";
      };
      localSourceAllow = strings "What the user of syncoid may do with the source.";
      localTargetAllow = strings "What the user of syncoid may do with the target.";
    };
  };
in {
  options.services.sanoid = {
    enable = mkEnableOption "sanoid";
    interval = mkOption {
      type = types.str;
      default = "hourly";
      description = "When it runs.";
    };
    datasets = mkOption {
      type = types.attrsOf (types.submodule dataset);
      default = {};
      description = "Datasets to snapshot.";
    };
    templates = mkOption {
      type = types.attrsOf (types.submodule {
        freeformType = other;
        options = policy;
      });
      default = {};
      description = "Settings that several datasets share.";
    };
  };

  options.services.syncoid = {
    enable = mkEnableOption "syncoid";
    interval = mkOption {
      type = types.str;
      default = "hourly";
      description = "When it runs.";
    };
    commonArgs = strings "Arguments of every transfer.";
    commands = mkOption {
      type = types.attrsOf (types.submodule command);
      default = {};
      description = "Transfers.";
    };
  };
}
