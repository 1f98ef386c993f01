# What is read of `modules`: datasets and their protection, snapshots, replication and backup
# jobs. docs/homelab.md describes it. Scripts may hold secrets and are left alone; of units and
# timers only those are read that these modules make.
{probe}: {
  config,
  options,
}: let
  inherit (builtins) any attrNames filter head isAttrs listToAttrs mapAttrs stringLength substring tail tryEval;
  inherit (probe) anyTo attrsOf fields lines present via where;
  leaf = anyTo 2;

  # Whether there is a text.
  given = via (v: v != null && v != "") leaf;
  attempt = v: let
    r = tryEval v;
  in
    if r.success
    then r.value
    else null;
  # Follows names as far as there are any; null where something throws.
  get = path: v:
    if path == []
    then attempt v
    else let
      s = attempt v;
      name = head path;
    in
      if isAttrs s && s ? ${name}
      then get (tail path) s.${name}
      else null;

  # What is off needs no values.
  whileOn = s:
    via (v:
      if isAttrs v && attempt (v.enable or true) == false
      then {enable = false;}
      else v)
    s
    // {inherit (s) below;};
  only = keep: s:
    via (v:
      if isAttrs v
      then
        listToAttrs (map (name: {
          inherit name;
          value = v.${name};
        }) (filter keep (attrNames v)))
      else v) (attrsOf s);
  prefixed = p: n: substring 0 (stringLength p) n == p;

  protection = fields {
    class = leaf;
    requiredTiers = lines;
    consistency = leaf;
    allowEmptyBootstrap = leaf;
    objectives = fields {
      onsiteRpoSeconds = leaf;
      offsiteRpoSeconds = leaf;
      rtoSeconds = leaf;
    };
    mechanism = fields {name = leaf;};
  };
  dataset = fields {
    recordsize = leaf;
    compression = leaf;
    properties = attrsOf leaf;
    mountpoint = leaf;
    owner = leaf;
    group = leaf;
    mode = leaf;
    inherit protection;
  };
  job = fields {
    enable = leaf;
    repository = leaf;
    paths = lines;
    excludePatterns = lines;
    useSnapshots = leaf;
    zfsDataset = leaf;
    preBackupScript = given;
    postBackupScript = given;
  };

  stored = get ["modules" "storage" "datasets" "services"] config;
  hasDataset = n: isAttrs stored && stored ? ${n};
  # Of services without a dataset those that are not off and have a directory. What was renamed is read under its new name.
  stale = path: let o = get path options; in isAttrs o && attempt (o.visible or true) == false;
  shown = n: s: option: s ? ${option} && !stale ["modules" "services" n option];
  serves = {
    name,
    value,
  }:
    hasDataset name || isAttrs value && shown name value "enable" && shown name value "dataDir" && attempt value.enable != false;
  # The address may be that of a backend with its password: what is not asked for is not read.
  preseed = whileOn (fields {
    enable = leaf;
    repositoryUrl = leaf;
    restoreMethods = lines;
  });
  service = fields {
    enable = leaf;
    dataDir = leaf;
    user = leaf;
    group = leaf;
    inherit preseed;
  };
  services = via (v:
    if isAttrs v
    then mapAttrs (name: value: {inherit name value;}) (removeAttrs v ["backup"])
    else v)
  (attrsOf (where serves (via (s: s.value) service)));

  # The jobs that are made, where they are gathered; else those that are declared.
  effective = v: let
    all = get ["_internal" "allJobs"] v;
  in
    if isAttrs v && isAttrs all && attrNames all != [] && isAttrs (attempt (v.restic or null))
    then v // {restic = removeAttrs v.restic ["jobs"];}
    else v;
  backup = fields {
    enable = leaf;
    restic = fields {
      enable = leaf;
      jobs = attrsOf job;
    };
    _internal = fields {allJobs = attrsOf job;};
    repositories = attrsOf (fields {
      url = leaf;
      passwordFile = leaf;
      environmentFile = leaf;
      pruneSchedule = leaf;
    });
    globalSettings = fields {retention = leaf;};
  };
  # Whether there is a place, be it one that throws. What throws above it throws here: then it is not known.
  has = path: v: isAttrs v && v ? ${head path} && (tail path == [] || has (tail path) v.${head path});
  there = path: has (["modules"] ++ path) config;
in {
  # One that is there is enough, whatever throws beside it.
  detected = let
    places = [["storage" "datasets"] ["backup" "sanoid"] ["services" "backup" "repositories"]];
  in
    any (path: attempt (there path) == true) places || any there places;

  sections = {
    "modules.storage.datasets" = whileOn (fields {
      enable = leaf;
      parentDataset = leaf;
      parentMount = leaf;
      services = attrsOf dataset;
      utility = attrsOf dataset;
    });
    "modules.storage.protection" = fields {
      externalDatasets = attrsOf (fields {
        mountpoint = leaf;
        inherit protection;
      });
    };
    "modules.filesystems.zfs" = whileOn (fields {
      enable = leaf;
      persistDataset = leaf;
      homeDataset = leaf;
    });
    "modules.services" =
      services
      // {
        below = n:
          if n != "backup"
          then service
          else null;
      };
    "modules.services.backup" = let s = whileOn backup; in via effective s // {inherit (s) below;};
    "modules.backup.sanoid" = whileOn (fields {
      enable = leaf;
      snapshotInterval = lines;
      replicationInterval = lines;
      templates = attrsOf leaf;
      datasets = attrsOf (fields {
        recursive = leaf;
        useTemplate = lines;
        retention = leaf;
        autosnap = leaf;
        autoprune = leaf;
        replication = fields {
          targetHost = leaf;
          targetUser = leaf;
          targetDataset = leaf;
          sendOptions = leaf;
          recvOptions = leaf;
        };
      });
    });
    # Who makes the datasets, the repositories and the schedules.
    "systemd.services" = only (n: n == "zfs-service-datasets" || prefixed "restic-init-" n) (fields {enable = leaf;});
    "systemd.timers" = only (prefixed "restic-backup-") (fields {
      enable = leaf;
      timerConfig = fields {
        OnCalendar = lines;
        RandomizedDelaySec = leaf;
        Persistent = leaf;
      };
    });
    "system.activationScripts" = only (n: n == "zfs-service-datasets") present;
  };
}
