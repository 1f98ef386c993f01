# A contract of the kind that many homelabs write for themselves: each service says in one place where
# its data is, what of it to back up and under which name it is reached. Every service
# that is enabled has its data persisted, so nobody can forget to.
{
  config,
  lib,
  ...
}: let
  inherit (lib) mkEnableOption mkOption types;

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

  database.options = {
    type = mkOption {
      type = types.enum ["postgresql" "mysql" "redis"];
      default = "postgresql";
      description = "Which kind.";
    };
    name = mkOption {
      type = types.str;
      description = "Its name.";
    };
    user = maybe types.str "The account that owns it.";
  };

  service.options = {
    enable = mkEnableOption "this service";
    domain = maybe types.str "The domain it belongs to.";
    subdomain = maybe types.str "Its name below the domain.";
    exposed = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the reverse proxy serves it.";
    };
    type = mkOption {
      type = types.enum ["private" "public"];
      default = "private";
      description = "Who may reach it.";
    };
    port = maybe types.port "The port it listens on.";
    middlewares = strings "What the reverse proxy puts before it.";
    dataDir = mkOption {
      type = types.str;
      description = "Where its data is.";
    };
    backupPaths = strings "More paths to persist and to back up.";
    databases = mkOption {
      type = types.listOf (types.submodule database);
      default = [];
      description = "Databases it uses.";
    };
    extraConfig = mkOption {
      type = types.attrsOf types.anything;
      default = {};
      description = "Anything else.";
    };
  };

  backup.options = {
    paths = strings "What to back up.";
    exclude = strings "Patterns to leave out.";
    preBackup = maybe types.lines "Commands run before.";
    postBackup = maybe types.lines "Commands run after.";
    systemdUnits = strings "Units to stop meanwhile.";
    priority = mkOption {
      type = types.int;
      default = 1000;
      description = "The smaller number runs first.";
    };
    requireNetwork = mkOption {
      type = types.bool;
      default = false;
      description = "Whether it waits for the network.";
    };
  };

  cfg = config.qgroget;
  enabled = lib.filter (service: service.enable) (lib.attrValues cfg.serviceModules);
in {
  options.qgroget = {
    collect = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the data of enabled services is added to environment.persistence.";
    };
    serviceModules = mkOption {
      type = types.attrsOf (types.submodule service);
      default = {};
      description = "Services and what each needs.";
    };
    backups = mkOption {
      type = types.attrsOf (types.submodule backup);
      default = {};
      description = "Backup jobs.";
    };
  };

  # The collector. mkAfter: the host's own entries come first.
  config.environment.persistence = lib.mkIf (cfg.collect && enabled != []) {
    "/persist".directories =
      lib.mkAfter
      (lib.unique (lib.flatten (map (service: [service.dataDir] ++ service.backupPaths) enabled)));
  };
}
