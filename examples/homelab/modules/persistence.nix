# The options of Impermanence: which directories and files of a wiped root live on
# a filesystem that stays. An entry is a path, or a set when its owner or mode matters.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkDefault mkOption types;

  # Exactly one slash before the path and none after it.
  absolute = path: let
    parts = lib.filter (part: builtins.isString part && part != "") (builtins.split "/+" path);
  in
    "/" + lib.concatStringsSep "/" parts;

  store = {
    name,
    config,
    ...
  }: let
    common = {
      persistentStoragePath = mkOption {
        type = types.path;
        default = config.persistentStoragePath;
        description = "Where it really lives.";
      };
      enableDebugging = mkOption {
        type = types.bool;
        default = false;
        description = "Whether to trace the scripts.";
      };
    };

    owner = {
      user = mkOption {
        type = types.str;
        default = "root";
        description = "The owner, when it is created.";
      };
      group = mkOption {
        type = types.str;
        default = "root";
        description = "The group, when it is created.";
      };
      mode = mkOption {
        type = types.str;
        default = "0755";
        description = "The mode, when it is created.";
      };
    };

    directory = {config, ...}: {
      options =
        common
        // owner
        // {
          directory = mkOption {
            type = types.str;
            description = "The directory, as written.";
          };
          dirPath = mkOption {
            type = types.path;
            internal = true;
            description = "The directory, in full.";
          };
          hideMount = mkOption {
            type = types.bool;
            default = false;
            description = "Whether file managers hide it.";
          };
        };
      config.dirPath = mkDefault (absolute config.directory);
    };

    file = {config, ...}: {
      options =
        common
        // {
          file = mkOption {
            type = types.str;
            description = "The file, as written.";
          };
          filePath = mkOption {
            type = types.path;
            internal = true;
            description = "The file, in full.";
          };
          parentDirectory =
            owner
            // {
              dirPath = mkOption {
                type = types.path;
                internal = true;
                description = "The directory it is in.";
              };
            };
        };
      config = {
        filePath = mkDefault (absolute config.file);
        parentDirectory.dirPath = mkDefault (dirOf (absolute config.file));
      };
    };
  in {
    options = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = "Whether to persist anything here.";
      };
      persistentStoragePath = mkOption {
        type = types.path;
        default = name;
        description = "The filesystem that stays.";
      };
      hideMounts = mkOption {
        type = types.bool;
        default = false;
        description = "Whether file managers hide the mounts.";
      };
      directories = mkOption {
        type = types.listOf (types.coercedTo types.str (directory: {inherit directory;}) (types.submodule directory));
        default = [];
        description = "Directories to keep.";
      };
      files = mkOption {
        type = types.listOf (types.coercedTo types.str (file: {inherit file;}) (types.submodule file));
        default = [];
        description = "Files to keep.";
      };
    };
  };

  stores = lib.filter (store: store.enable) (lib.attrValues config.environment.persistence);
in {
  options.environment.persistence = mkOption {
    type = types.attrsOf (types.submodule store);
    default = {};
    description = "What to keep of a root that does not stay, by the filesystem that keeps it.";
  };

  # Each directory is mounted from the filesystem that stays.
  config.systemd.mounts =
    lib.concatMap
    (store:
      map
      (entry: {
        what = entry.persistentStoragePath + entry.dirPath;
        where = entry.dirPath;
        type = "none";
        options = "bind";
        wantedBy = ["local-fs.target"];
        before = ["local-fs.target"];
        unitConfig.DefaultDependencies = false;
      })
      store.directories)
    stores;
}
