# A module of one's own that declares the datasets of services, and a unit that makes them.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkEnableOption mkIf mkOption types;

  text = mkOption {
    type = types.nullOr types.str;
    default = null;
    description = "What ZFS is given, or the directory.";
  };
  dataset = types.submodule {
    options = {
      mountpoint = text;
      recordsize = text;
      compression = text;
      owner = text;
      group = text;
      mode = text;
      properties = mkOption {
        type = types.attrsOf types.str;
        default = {};
        description = "Further properties.";
      };
    };
  };
in {
  options.modules = {
    storage.datasets = {
      enable = mkEnableOption "the datasets of services";
      parentDataset = mkOption {
        type = types.str;
        description = "Where they lie.";
      };
      parentMount = mkOption {
        type = types.str;
        description = "Where they are mounted.";
      };
      services = mkOption {
        type = types.attrsOf dataset;
        default = {};
        description = "The dataset of each service.";
      };
    };
    services = mkOption {
      type = types.attrsOf types.anything;
      default = {};
      description = "Services, each with dataDir, user and group.";
    };
  };

  config.systemd.services = mkIf config.modules.storage.datasets.enable {
    zfs-service-datasets = {
      wantedBy = ["multi-user.target"];
      after = ["zfs-mount.service"];
      serviceConfig = {
        Type = "oneshot";
        ExecStart = "/run/current-system/sw/bin/make-service-datasets";
      };
    };
    sonarr = {
      requires = ["zfs-service-datasets.service"];
      after = ["zfs-service-datasets.service"];
    };
    radarr = {
      requires = ["zfs-service-datasets.service"];
      after = ["zfs-service-datasets.service"];
    };
  };
}
