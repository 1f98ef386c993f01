# What is read of `qgroget`: the contract of services, its older form, and the
# backup jobs. `extraConfig` may hold secrets and is left alone, and so are the
# texts of scripts.
{ probe }:
{ config, options }:
let
  inherit (probe) anyTo attrsOf fields lines via;
  leaf = anyTo 2;
  # Whether there is a text.
  given = via (v: v != null && v != "") leaf;
in
{
  detected = config ? qgroget;

  sections = {
    "qgroget.serviceModules" = attrsOf (fields {
      enable = leaf;
      domain = leaf; subdomain = leaf; exposed = leaf; type = leaf; port = leaf; middlewares = lines;
      dataDir = leaf;
      # Lists in lists too: the collector flattens them.
      backupPaths = anyTo 8;
      databases = probe.listOf (fields { type = leaf; name = leaf; user = leaf; });
    });
    "qgroget.services" = attrsOf (fields {
      enable = leaf; unitName = leaf; backupDirectories = lines;
      persistedData = anyTo 4;
    });
    "qgroget.backups" = attrsOf (fields {
      paths = lines; exclude = lines; preBackup = given; postBackup = given;
      systemdUnits = lines; priority = leaf; requireNetwork = leaf;
    });
  };
}
