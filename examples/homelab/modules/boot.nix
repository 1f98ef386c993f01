# The host itself: its name, how it boots, what it asserts about its own configuration.
{lib, ...}: let
  inherit (lib) mkEnableOption mkOption types;

  script = description:
    mkOption {
      type = types.lines;
      default = "";
      inherit description;
    };
in {
  options = {
    networking.hostName = mkOption {
      type = types.str;
      default = "nixos";
      description = "The name of the machine.";
    };
    networking.hostId = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "Eight hexadecimal digits by which ZFS knows which host a pool belongs to.";
    };
    system.stateVersion = mkOption {
      type = types.str;
      description = "The release that laid out this host's state. It has no default: NixOS wants it said.";
    };

    boot.supportedFilesystems = mkOption {
      type = types.listOf types.str;
      default = [];
      description = "Filesystems whose tools are needed.";
    };
    boot.zfs.extraPools = mkOption {
      type = types.listOf types.str;
      default = [];
      description = "Pools to import at boot besides those named in fileSystems.";
    };
    boot.initrd = {
      postDeviceCommands = script "Shell commands run in the initrd once devices are there. The systemd initrd ignores them.";
      postResumeCommands = script "Shell commands run in the initrd after the attempt to resume. The systemd initrd ignores them.";
      postMountCommands = script "Shell commands run in the initrd once root is mounted. The systemd initrd ignores them.";
      systemd.enable = mkEnableOption "systemd in the initrd";
    };

    assertions = mkOption {
      type = types.listOf types.anything;
      default = [];
      description = "[ { assertion; message; } ]: what must hold, or the host does not build.";
    };
    warnings = mkOption {
      type = types.listOf types.str;
      default = [];
      description = "What to tell whoever builds this host.";
    };
  };
}
