# What is read of `qgroget`: the contract of services, its older form, and the
# backup jobs. `extraConfig` may hold secrets and is left alone, and so are the
# texts of scripts.
{probe}: {
  config,
  options,
}: let
  inherit (probe) anyTo attrsOf fields lines via;
  leaf = anyTo 2;
  # Whether there is a text.
  given = via (v: v != null && v != "") leaf;

  # A service that is off need not have values.
  attempt = v: let
    r = builtins.tryEval v;
  in
    if r.success
    then r.value
    else null;
  quiet = s: let
    off = attempt (builtins.isAttrs s && s.enable or true == false) == true;
  in
    if off
    then builtins.mapAttrs (_: attempt) s
    else s;
  # Reads what is left of an option, and still says where its parts are defined.
  service = byName: let s = fields byName; in via quiet s // {inherit (s) below;};
in {
  detected = config ? qgroget;

  sections = {
    "qgroget.serviceModules" = attrsOf (service {
      enable = leaf;
      domain = leaf;
      subdomain = leaf;
      exposed = leaf;
      type = leaf;
      port = leaf;
      middlewares = lines;
      dataDir = leaf;
      # Lists in lists too: the collector flattens them.
      backupPaths = anyTo 8;
      databases = probe.listOf (fields {
        type = leaf;
        name = leaf;
        user = leaf;
      });
    });
    "qgroget.services" = attrsOf (service {
      enable = leaf;
      unitName = leaf;
      backupDirectories = lines;
      persistedData = anyTo 4;
    });
    "qgroget.backups" = attrsOf (fields {
      paths = lines;
      exclude = lines;
      preBackup = given;
      postBackup = given;
      systemdUnits = lines;
      priority = leaf;
      requireNetwork = leaf;
    });
  };
}
