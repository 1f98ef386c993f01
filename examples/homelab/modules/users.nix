{lib, ...}: let
  inherit (lib) mkDefault mkOption types;

  user = {name, ...}: {
    options = {
      name = mkOption {
        type = types.str;
        description = "The name of the account.";
      };
      uid = mkOption {
        type = types.nullOr types.int;
        default = null;
        description = "Its number. With null the host deals a free one, and remembers it in /var/lib/nixos.";
      };
      group = mkOption {
        type = types.str;
        default = "";
        description = "Its main group.";
      };
      extraGroups = mkOption {
        type = types.listOf types.str;
        default = [];
        description = "Its other groups.";
      };
      home = mkOption {
        type = types.path;
        default = "/var/empty";
        description = "Its home directory.";
      };
      createHome = mkOption {
        type = types.bool;
        default = false;
        description = "Whether to create the home directory.";
      };
      isSystemUser = mkOption {
        type = types.bool;
        default = false;
        description = "Whether a service uses it.";
      };
      isNormalUser = mkOption {
        type = types.bool;
        default = false;
        description = "Whether a person uses it.";
      };
      hashedPasswordFile = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "A file that holds the hash of its password.";
      };
    };
    config.name = mkDefault name;
  };

  group = {name, ...}: {
    options = {
      name = mkOption {
        type = types.str;
        description = "The name of the group.";
      };
      gid = mkOption {
        type = types.nullOr types.int;
        default = null;
        description = "Its number. With null the host deals a free one, and remembers it in /var/lib/nixos.";
      };
      members = mkOption {
        type = types.listOf types.str;
        default = [];
        description = "Accounts in this group.";
      };
    };
    config.name = mkDefault name;
  };
in {
  options.users = {
    mutableUsers = mkOption {
      type = types.bool;
      default = true;
      description = "Whether accounts may be changed outside the configuration.";
    };
    users = mkOption {
      type = types.attrsOf (types.submodule user);
      default = {};
      description = "Accounts.";
    };
    groups = mkOption {
      type = types.attrsOf (types.submodule group);
      default = {};
      description = "Groups.";
    };
  };

  config.users = {
    users.root = {
      uid = 0;
      group = "root";
      home = "/root";
      isSystemUser = true;
    };
    groups.root.gid = 0;
  };
}
