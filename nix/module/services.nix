# The contract of docs/contract.md as options, and assertions on what it says.
{
  config,
  lib,
  ...
}: let
  inherit (builtins) attrNames concatMap elem filter match toJSON;

  contract = import ./options.nix {inherit lib;};
  inherit (contract) at byName fault fieldsOf;

  cfg = config.stateward;

  fieldOf = fields: name: builtins.head (filter (field: field.name == name) fields);
  # The field of the table at a path of names below `stateward`.
  field = path: builtins.foldl' (above: fieldOf (fieldsOf above)) byName.${builtins.head path} (builtins.tail path);

  said = text: text != null && text != "";
  isName = text: match contract.table.types.name.pattern text != null;
  repositories = attrNames cfg.backup.repositories;
  unknownRepository = path: of: text:
    lib.optionals (isName text && !elem text repositories)
    (fault path "is ${toJSON text}, and no repository of stateward.backup.repositories is named so" of);

  # What several fields of a service say together.
  service = name: let
    one = cfg.services.${name};
    path = at "stateward.services" name;
    inherit (one) backup preseed;
    ofBackup = rest: field (["services" "backup"] ++ rest);
    backedUp = backup != null && backup.enable != false;
    listed = lib.optionals (backedUp && backup.repositories != null) backup.repositories;
  in
    lib.optionals (one.enable != false) (
      lib.optionals backedUp (
        lib.optionals (said backup.repository && backup.repositories != null)
        (fault "${path}.backup.repository" "stands beside repositories: name all of them there" (ofBackup ["repository"]))
        ++ lib.optionals (said backup.repository) (unknownRepository "${path}.backup.repository" (ofBackup ["repository"]) backup.repository)
        ++ concatMap (unknownRepository "${path}.backup.repositories" (ofBackup ["repositories"])) listed
        ++ lib.optionals (backup.consistency == "dump" && backup.dump == null) (fault "${path}.backup" "has no dump, and consistency is dump" (ofBackup ["dump" "command"]))
        ++ lib.optionals (backup.consistency == "live" && backup.stopUnits != null && backup.stopUnits != [])
        (fault "${path}.backup.consistency" "is live, and there are stopUnits" (ofBackup ["consistency"]))
      )
      ++ lib.optionals (preseed != null && preseed.enable != false) (
        lib.optionals (preseed.onNoBackup == "start-empty" && !(said preseed.reason))
        (fault "${path}.preseed" "has no reason, and onNoBackup is start-empty" (field ["services" "preseed" "reason"]))
        ++ lib.optionals (said preseed.repository) (unknownRepository "${path}.preseed.repository" (field ["services" "preseed" "repository"]) preseed.repository)
      )
    );

  # A cluster other than that of services.postgresql says itself what it is.
  cluster = name: let
    one = cfg.pitr.${name};
  in
    lib.optionals (one.enable != false && name != "postgresql") (
      concatMap (required:
        lib.optionals (one.cluster == null || !(said one.cluster.${required}))
        (fault "${at "stateward.pitr" name}.cluster" "has no ${required}, and is not that of services.postgresql" (field ["pitr" "cluster" required])))
      ["dataDir" "user" "unit"]
    );

  # One that names nothing would accept what nobody has seen yet.
  acknowledgement = i: let
    one = builtins.elemAt cfg.acknowledge i;
  in
    lib.optionals (!(said one.service || said one.subject || said one.path))
    (fault "stateward.acknowledge[${toString i}]" "names no service, subject or path" (field ["acknowledge" "service"]));

  faults =
    contract.ofAttrs byName.services "stateward.services" cfg.services
    ++ concatMap service (attrNames cfg.services)
    ++ contract.ofSet (fieldsOf byName.backup) "stateward.backup" (cfg.backup // {repositories = null;})
    ++ contract.ofAttrs (field ["backup" "repositories"]) "stateward.backup.repositories" cfg.backup.repositories
    ++ contract.ofAttrs byName.pitr "stateward.pitr" cfg.pitr
    ++ contract.ofSet (fieldsOf byName.persistence) "stateward.persistence" {inherit (cfg.persistence) enable root;}
    ++ contract.ofSet (fieldsOf byName.guard) "stateward.guard" {
      inherit (cfg.guard) enable stateDir running;
      package = null;
      override = null;
    }
    ++ concatMap cluster (attrNames cfg.pitr)
    ++ contract.ofField byName.acknowledge "stateward.acknowledge" cfg.acknowledge
    ++ concatMap acknowledgement (builtins.genList (i: i) (builtins.length cfg.acknowledge));
in {
  options.stateward = contract.options;

  config.assertions =
    map (one: {
      assertion = false;
      message = contract.message one;
    })
    faults;
}
