# The shapes of the contract of docs/contract.md, for every projection that reads it.
{probe}: let
  inherit (builtins) attrNames filter isAttrs isList isString mapAttrs tryEval typeOf;
  inherit (probe) anyTo attrsOf fields lines listOf text via;
  leaf = anyTo 2;
  # Whether there is a text.
  given = via (v: v != null && v != "") leaf;

  derivation = v: let r = tryEval (v.type or null == "derivation"); in r.success && r.value;

  # A set with these fields. Those that the contract does not have are named under "?".
  closed = byName: let
    shape = fields (byName // {"?" = lines;});
    other = v: filter (n: !(byName ? ${n}) && n != "_module" && n != "__functor") (attrNames v);
  in
    via (v:
      if isAttrs v && !(derivation v) && other v != []
      then v // {"?" = other v;}
      else v)
    shape
    // {inherit (shape) below;};

  # A list, or the one thing that would be in it.
  list = s:
    via (v:
      if isAttrs v && !(derivation v) || isString v || typeOf v == "path"
      then [v]
      else v) (listOf s)
    // {inherit (listOf s) below items;};

  notify = closed {
    onStart = leaf;
    onSuccess = leaf;
    onFailure = leaf;
  };
  # What is restored differs from job to job.
  drill = {
    every = leaf;
    sqlite = leaf;
    command = lines;
    maxBytes = leaf;
  };

  entry = kind:
    closed {
      ${kind} = leaf;
      user = leaf;
      group = leaf;
      mode = leaf;
    };

  # What a job may say and the host may say for all jobs.
  jobSettings = {
    exclude = lines;
    tags = lines;
    schedule = lines;
    randomizedDelay = leaf;
    persistent = leaf;
    prune = lines;
    requireNetwork = leaf;
    preHook = text;
    postHook = text;
    consistency = leaf;
    checkSubset = leaf;
    lockWait = leaf;
    floorPercent = leaf;
    oneFileSystem = leaf;
    skipIfUnchanged = leaf;
    metricsDir = leaf;
    limits = closed {
      uploadKiB = leaf;
      downloadKiB = leaf;
      readConcurrency = leaf;
      memory = leaf;
      cpu = leaf;
      runTime = leaf;
      nice = leaf;
    };
    inherit notify;
    drill = closed drill;
  };

  # A service that is off need not have values.
  attempt = v: let
    r = tryEval v;
  in
    if r.success
    then r.value
    else null;
  quiet = s:
    if attempt (isAttrs s && s.enable or true == false) == true
    then mapAttrs (_: attempt) s
    else s;

  # A service, with further fields.
  serviceWith = more: let contract = closed (fieldsOfContract // more); in via quiet contract // {inherit (contract) below;};
  fieldsOfContract = {
    enable = leaf;
    unit = leaf;
    units = lines;
    user = leaf;
    group = leaf;
    dataDir = leaf;
    # Lists in lists too: the collector flattens them.
    backupPaths = anyTo 8;
    persist = closed {
      directories = list (entry "directory");
      files = list (entry "file");
    };
    dataset = closed {
      name = leaf;
      type = leaf;
      mountpoint = leaf;
      canmount = leaf;
      profile = leaf;
      properties = attrsOf leaf;
      owner = leaf;
      group = leaf;
      mode = leaf;
      snapshots = closed {policy = leaf;};
      replication = list (closed {
        target = leaf;
        schedule = lines;
        sshKey = leaf;
        hostKeys = lines;
        raw = leaf;
        recursive = leaf;
        limit = leaf;
      });
    };
    backup = closed (jobSettings
      // {
        enable = leaf;
        engine = leaf;
        paths = anyTo 8;
        allowEmpty = lines;
        repository = leaf;
        repositories = lines;
        repositoryFile = leaf;
        passwordFile = leaf;
        environmentFile = leaf;
        user = leaf;
        initialize = leaf;
        stopUnits = lines;
        priority = leaf;
        dump = closed {
          command = text;
          directory = leaf;
        };
        drill = closed (drill // {paths = lines;});
      });
    databases = list (closed {
      type = leaf;
      name = leaf;
      user = leaf;
    });
    protection = closed {
      tiers = lines;
      rpo = leaf;
    };
    exposure = closed {
      exposed = leaf;
      domain = leaf;
      subdomain = leaf;
      type = leaf;
      port = leaf;
      middlewares = lines;
    };
    preseed = closed {
      enable = leaf;
      sources = lines;
      onNoBackup = leaf;
      reason = leaf;
      maxAge = leaf;
      timeout = leaf;
      minBytes = leaf;
      paths = lines;
      validate = closed {
        sqlite = leaf;
        command = lines;
      };
      staging = leaf;
      from = leaf;
      sshKey = leaf;
      knownHosts = leaf;
      repository = leaf;
    };
    healthCheck = closed {
      enable = leaf;
      command = leaf;
      interval = leaf;
      timeout = leaf;
      retries = leaf;
      startPeriod = leaf;
    };
    # Reserved: nothing of them is used yet.
    resources = closed {
      memory = leaf;
      cpus = leaf;
    };
    notifications = closed {
      enable = leaf;
      channels = lines;
      priority = leaf;
    };
  };
in {
  inherit closed list serviceWith;
  service = serviceWith {};
  backup = closed {
    repositories = attrsOf (closed {
      url = leaf;
      urlFile = leaf;
      passwordFile = leaf;
      environmentFile = leaf;
      primary = leaf;
    });
    defaults = closed jobSettings;
  };
  pitr = let
    policy = closed {
      enable = leaf;
      provider = leaf;
      destination = leaf;
      server = leaf;
      cloud = leaf;
      endpoint = leaf;
      profile = leaf;
      environmentFile = leaf;
      credentialsFile = leaf;
      compression = leaf;
      encryption = leaf;
      schedule = lines;
      window = leaf;
      redundancy = leaf;
      archiveTimeout = leaf;
      metricsDir = leaf;
      inherit notify;
      drill = closed {every = leaf;};
      cluster = closed {
        dataDir = leaf;
        walDir = leaf;
        version = leaf;
        user = leaf;
        socket = leaf;
        port = leaf;
        unit = leaf;
        binDir = leaf;
      };
    };
  in
    attrsOf (via quiet policy // {inherit (policy) below;});
  acknowledgements = list (closed {
    code = leaf;
    host = leaf;
    service = leaf;
    subject = leaf;
    path = leaf;
    reason = leaf;
    until = leaf;
  });
}
