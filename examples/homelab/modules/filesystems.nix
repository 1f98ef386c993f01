# What is mounted where. The attribute name is the mount point unless mountPoint says otherwise.
{lib, ...}: let
  inherit (lib) mkDefault mkIf mkOption types;

  withoutDevice = ["tmpfs" "ramfs" "proc" "sysfs"];

  fileSystem = {
    name,
    config,
    ...
  }: {
    options = {
      mountPoint = mkOption {
        type = types.str;
        description = "Where it is mounted.";
      };
      device = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "What is mounted: a device, or the name of a ZFS dataset.";
      };
      fsType = mkOption {
        type = types.str;
        default = "auto";
        description = "The type of the filesystem.";
      };
      options = mkOption {
        type = types.listOf types.str;
        default = ["defaults"];
        description = "Mount options.";
      };
      depends = mkOption {
        type = types.listOf types.str;
        default = [];
        description = "Paths whose filesystems are mounted first.";
      };
      neededForBoot = mkOption {
        type = types.bool;
        default = false;
        description = "Whether to mount it in the initrd, before anything else starts.";
      };
    };
    config = {
      mountPoint = mkDefault name;
      device = mkIf (lib.elem config.fsType withoutDevice) (mkDefault config.fsType);
    };
  };
in {
  options.fileSystems = mkOption {
    type = types.attrsOf (types.submodule fileSystem);
    default = {};
    description = "The filesystems to mount.";
  };
}
