# Says in the words of docs/contract.md what `homelab.apps` declares.
{
  config,
  lib,
  ...
}: {
  # A host without these options is no business of this dialect.
  detected = config ? homelab;

  services =
    lib.mapAttrs
    (name: app: {
      inherit (app) enable;
      unit = name;
      user = app.owner;
      dataDir = app.stateDir;
      backupPaths = app.extraPaths;
      protection = lib.optionalAttrs app.precious {
        tiers = ["reboot" "site"];
        rpo = "1d";
      };
      # What findings shall name: not this file, but the option that somebody can mend.
      option = ["homelab" "apps" name];
    })
    config.homelab.apps;

  acknowledge = [
    {
      code = "SW101";
      path = "/srv/scans";
      reason = "the scanner's inbox; paperless has what matters";
    }
  ];
}
