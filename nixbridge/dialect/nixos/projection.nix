# What is read of NixOS' own options, and of Impermanence's and disko's beside
# them. Leaves are named one by one: reading a submodule whole would meet options
# that have no value, that were removed, or that hold secrets.
{ probe }:
{ config, options }:
let
  inherit (builtins)
    any attrNames concatMap filter head intersectAttrs isAttrs isList isString length listToAttrs mapAttrs match removeAttrs
    storeDir stringLength substring tryEval;
  inherit (probe) anyTo attrsOf fields lines listOf text value valueAs via where;
  leaf = anyTo 2;

  # Whether there is a text; the text itself, a script, is not read.
  given = via (v: v != null && v != "") leaf;

  # Reads a part of an option, and still says where the option's parts are defined.
  part = f: s: via f s // { inherit (s) below items; };

  # The parts of something that is switched off may have no value.
  enabled = s: part (v: if v.enable or false then v else { enable = false; }) (fields ({ enable = leaf; } // s));

  entry = {
    dirPath = leaf; filePath = leaf; home = leaf; user = leaf; group = leaf; mode = leaf;
    hideMount = leaf; allowTrash = leaf; persistentStoragePath = leaf;
  };
  without = names: e: if isAttrs e then removeAttrs e names else e;
  entries = {
    directories = listOf (fields (entry // { directory = leaf; }));
    files = listOf (fields (entry // { file = leaf; method = leaf; parentDirectory = fields { user = leaf; group = leaf; mode = leaf; }; }));
  };

  # --- Preservation: read where it is on ------------------------------------
  preserved =
    let
      options = listOf (fields { name = leaf; value = leaf; });
      entry = {
        how = leaf; inInitrd = leaf; user = leaf; group = leaf; mode = leaf; configureParent = leaf; createLinkTarget = leaf;
        parent = fields { user = leaf; group = leaf; mode = leaf; };
        mountOptions = options;
      };
      lists = {
        directories = listOf (fields (entry // { directory = leaf; }));
        files = listOf (fields (entry // { file = leaf; }));
        commonMountOptions = options;
      };
      on = holds (config.preservation.enable or false == true);
    in part (roots: if on then roots else mapAttrs (_: _: { }) roots)
      (attrsOf (fields (lists // { persistentStoragePath = leaf; users = attrsOf (fields (lists // { username = leaf; home = leaf; })); })));

  # --- home-manager: only of users who persist something --------------------
  homes =
    let
      # Of a newer module these options are left, and throw.
      unlinked = r: if isAttrs r && r ? hideMounts then without [ "defaultDirectoryMethod" "removePrefixDirectory" ] r else r;
      unmethodical = e: if isAttrs e && e ? dirPath then without [ "method" ] e else e;
    in part (mapAttrs (_: u: if (u.home.persistence or { }) == { } then { } else u)) (attrsOf (fields {
      home = fields {
        username = leaf; homeDirectory = text;
        persistence = attrsOf (via unlinked (fields (entries // {
          directories = listOf (via unmethodical (fields (entry // { directory = leaf; method = leaf; })));
          enable = leaf; persistentStoragePath = leaf; hideMounts = leaf; allowTrash = leaf; defaultDirectoryMethod = leaf; removePrefixDirectory = leaf;
        })));
      };
    }));

  mounts = listOf (fields {
    enable = leaf; where = leaf; what = leaf; type = leaf; options = leaf;
    mountConfig = fields { Where = leaf; What = leaf; Type = leaf; Options = leaf; };
  });

  # Where there are no containers, nothing else need be known of them.
  # Its storage has values only where the engine that runs them is set up.
  forContainers = engine: on: s:
    let
      c = config.virtualisation.oci-containers or { };
      backend = tryEval (c.backend or "podman");
    in if (c.containers or { }) != { } && backend.success && backend.value == engine && on then s else value null;

  # Without secrets there is nothing to decrypt.
  forSecrets = module: s: if config.${module}.secrets or null == { } then value null else s;

  # The units that are made of other options, or that are no services.
  made = units:
    let
      s = tryEval (config.boot.initrd.systemd.services or { });
      stem = n: match "(.*)[.]service" n;
    in filter (n: stem n == null || s.success && s.value ? ${head (stem n)}) (attrNames units);

  # Of a container's further options those that mount something; the others may hold secrets.
  volumeOptions = via (l:
    let
      flag = s: builtins.match "-v.*|(--volume|--mount)(=.*)?" s != null;
      separate = s: s == "-v" || s == "--volume" || s == "--mount";
      text = i: let s = builtins.elemAt l i; in if builtins.isString s then s else "";
      kept = i: if flag (text i) || i > 0 && separate (text (i - 1)) then text i else "";
    in if builtins.isList l then builtins.genList kept (builtins.length l) else l) lines;

  # --- services.<name>: its directory, by whatever name ---------------------
  dirs = {
    dataDir = leaf; datadir = leaf; dataDirectory = leaf; dataPath = leaf;
    stateDir = leaf; statePath = leaf;
    storageDir = leaf; storagePath = leaf;
    # The value decides whether these name state: see placeOptions of services.go.
    backupDir = leaf; baseDir = leaf; configDir = leaf; configPath = leaf; contentDir = leaf; databaseDir = leaf; databasePath = leaf;
    dbDir = leaf; dbPath = leaf; dbpath = leaf; home = leaf; homeDir = leaf; libDir = leaf; libraryPath = leaf; location = leaf;
    mediaDir = leaf; mediaLocation = leaf; repositoryRoot = leaf; spoolDir = leaf; statedir = leaf; uploadDir = leaf; userDir = leaf;
    varDir = leaf; viewIndexDir = leaf; workDir = leaf; workingDir = leaf;
  };
  # A service that is off need not have values, and often its directory throws.
  quiet = s:
    let off = holds (isAttrs s && s.enable or true == false);
    in if off then mapAttrs (_: v: let r = tryEval v; in if r.success then r.value else null) s else s;
  service = part quiet (fields ({ enable = leaf; } // dirs));

  # options.services alone decides which services are looked at: it is there
  # without anything being evaluated. What is no plain set of options is left out.
  holds = test: let r = tryEval test; in r.success && r.value;
  visible = o: isAttrs o && o._type or null == "option" && o.visible or true != false;
  has = set: name: set ? ${name} && holds (visible set.${name});
  declares = o: holds (isAttrs o && o._type or null != "option" && has o "enable" && any (has o) (attrNames dirs));
  declared =
    let tree = options.services;
    in listToAttrs (map (name: { inherit name; value = true; }) (filter (n: declares tree.${n}) (attrNames tree)));
  services =
    if options ? services then
      let s = attrsOf service;
      in via (intersectAttrs declared) s // { below = n: if declared ? ${n} then s.below n else null; }
    # Where there are no options, the values themselves tell.
    else attrsOf (where (s: isAttrs s && s ? enable && any (d: s ? ${d}) (attrNames dirs)) service);

  # --- what tmpfiles and environment.etc make ---------------------------------
  # The module system names the files of a list, which costs nothing. What these write for every host is a link to the
  # store, at no place of interest, and would have a C library, or a graphics driver, instantiated.
  tmpfilesRules =
    let
      defs = tryEval (options.systemd.tmpfiles.rules.definitionsWithLocations or null);
      dull = file: match ".*/nixos/modules/(config/ldso|hardware/graphics|hardware/opengl)[.]nix" file != null;
      ofFile = d:
        let file = toString d.file;
        in if dull file then { skipped = length d.value; } else { inherit file; rules = d.value; };
    in if defs.success && isList defs.value then map ofFile defs.value else config.systemd.tmpfiles.rules or null;

  # Nothing below these outlives a boot, and what the rules there link to may be large to evaluate.
  inMemory = path: match "/(run|dev|proc|sys|tmp)/.*" path != null;
  outsideMemory = files: mapAttrs (_: paths: if isAttrs paths then removeAttrs paths (filter inMemory (attrNames paths)) else paths) files;

  # Of environment.etc only what is written as a text, and so may lie beside the store. Files and packages
  # need not be looked at, and the distribution's own texts name packages, which cost much to evaluate.
  unwrap = v:
    let t = v._type or null;
    in
    if !(isAttrs v) then [ v ]
    else if t == "if" then (if v.condition then unwrap v.content else [ ])
    else if t == "merge" then concatMap unwrap v.contents
    else if t == "override" || t == "order" then unwrap v.content
    else [ v ];
  beside = v: isString v && substring 0 (stringLength storeDir) v != storeDir;
  linkedEtc =
    let
      o = options.environment.etc;
      own = map (d: match "(.*/nixos/modules)/system/etc/etc[.]nix" (toString d)) o.declarations;
      foreign = file: !(any (m: m != null && substring 0 (stringLength (head m)) file == head m) own);
      linked = entry: any (e: isAttrs e && e ? source && any beside (unwrap e.source)) (unwrap entry);
      namesIn = set: if isAttrs set then filter (n: let r = tryEval (linked set.${n}); in !r.success || r.value) (attrNames set) else [ ];
    in concatMap (d: if foreign (toString d.file) then concatMap namesIn (unwrap d.value) else [ ]) o.definitionsWithLocations;
  etcEntry = fields { enable = leaf; target = leaf; mode = leaf; source = leaf; };
  etc =
    if options ? environment.etc && options.environment.etc ? definitionsWithLocations then
      part (all: intersectAttrs (listToAttrs (map (name: { inherit name; value = null; }) linkedEtc)) all) (attrsOf etcEntry)
    else attrsOf etcEntry;
in
{
  detected = config ? fileSystems || config ? systemd || config ? environment.persistence;

  sections = {
    "environment.persistence" = attrsOf (fields (entries // {
      enable = leaf;
      persistentStoragePath = leaf;
      hideMounts = leaf;
      allowTrash = leaf;
      users = attrsOf (fields (entries // { home = leaf; }));
    }));

    "preservation.enable" = leaf;
    "preservation.preserveAt" = preserved;
    "home-manager.users" = homes;

    "fileSystems" = attrsOf (fields {
      enable = leaf; mountPoint = leaf; device = leaf; label = leaf; fsType = leaf; options = lines; neededForBoot = leaf; depends = lines;
    });
    "systemd.mounts" = mounts;
    # The other kind of initrd does not look at them.
    "boot.initrd.systemd.mounts" = part (l: if holds (config.boot.initrd.systemd.enable or false == false) then [ ] else l) mounts;

    "boot.initrd.systemd.enable" = leaf;
    "boot.kernelParams" = lines;
    "boot.initrd.preDeviceCommands" = leaf;
    "boot.initrd.preLVMCommands" = leaf;
    "boot.initrd.postDeviceCommands" = leaf;
    "boot.initrd.postResumeCommands" = leaf;
    "boot.initrd.postMountCommands" = leaf;
    "boot.initrd.systemd.services" = attrsOf (fields {
      enable = leaf; script = leaf; preStart = leaf; postStart = leaf;
      serviceConfig = fields { ExecCondition = lines; ExecStartPre = lines; ExecStart = lines; ExecStartPost = lines; ExecStop = lines; };
    });
    # A unit that is no service of the list above is written by hand.
    "boot.initrd.systemd.units" = via (units: removeAttrs units (made units)) (attrsOf (fields { enable = leaf; text = leaf; }));
    "boot.zfs.extraPools" = lines;

    "systemd.services" = attrsOf (fields {
      enable = leaf;
      after = lines; before = lines; requires = lines; wants = lines; bindsTo = lines; wantedBy = lines;
      unitConfig = fields { RequiresMountsFor = lines; };
      serviceConfig = fields {
        StateDirectory = lines; StateDirectoryMode = leaf; CacheDirectory = lines; LogsDirectory = lines; ReadWritePaths = lines;
        User = leaf; Group = leaf; DynamicUser = leaf; Type = leaf;
      };
    });
    "systemd.timers" = attrsOf (fields { enable = leaf; timerConfig = fields { Persistent = leaf; }; });
    "services" = services;

    "virtualisation.oci-containers" = fields {
      backend = leaf;
      containers = attrsOf (fields { volumes = lines; extraOptions = volumeOptions; serviceName = leaf; podman = fields { user = leaf; }; });
    };
    "virtualisation.containers.storage.settings" = forContainers "podman" (config.virtualisation.containers.enable or true) (fields { storage = fields { graphroot = leaf; }; });
    "virtualisation.docker.daemon.settings" = forContainers "docker" (config.virtualisation.docker.enable or true) (fields { data-root = leaf; });

    "services.restic.backups" = attrsOf (fields {
      paths = lines; exclude = lines; repository = leaf; repositoryFile = leaf; passwordFile = leaf; environmentFile = leaf;
      user = leaf; initialize = leaf; pruneOpts = lines;
      timerConfig = fields {
        OnCalendar = lines; RandomizedDelaySec = leaf; Persistent = leaf;
        OnActiveSec = leaf; OnBootSec = leaf; OnStartupSec = leaf; OnUnitActiveSec = leaf; OnUnitInactiveSec = leaf;
      };
      dynamicFilesFrom = given; backupPrepareCommand = given; backupCleanupCommand = given;
    });
    "services.borgbackup.jobs" = attrsOf (fields {
      paths = lines; exclude = lines; repo = leaf; user = leaf; doInit = leaf; startAt = lines; persistentTimer = leaf;
      prune = fields { keep = leaf; };
      dumpCommand = given; preHook = given; postHook = given;
    });
    "services.sanoid" = enabled { interval = lines; datasets = attrsOf leaf; templates = attrsOf leaf; };
    "services.syncoid" = enabled {
      interval = lines;
      commonArgs = lines;
      commands = attrsOf (fields {
        source = leaf; target = leaf; recursive = leaf; sendOptions = leaf; recvOptions = leaf; extraArgs = lines; useCommonArgs = leaf;
      });
    };
    "disko.devices.zpool" = attrsOf (fields {
      rootFsOptions = leaf;
      mountpoint = leaf;
      datasets = attrsOf (fields { type = leaf; mountpoint = leaf; options = leaf; });
    });

    "users.users" = attrsOf (fields { enable = leaf; uid = leaf; group = leaf; home = text; isNormalUser = leaf; hashedPasswordFile = leaf; });
    "users.groups" = attrsOf (fields { gid = leaf; });

    "systemd.tmpfiles.rules" = valueAs (listOf (fields { file = leaf; skipped = leaf; rules = listOf leaf; })) tmpfilesRules;
    "systemd.tmpfiles.settings" = part outsideMemory (attrsOf (attrsOf (attrsOf (fields {
      type = leaf; mode = leaf; user = leaf; group = leaf; age = leaf; argument = leaf;
    }))));
    "environment.etc" = etc;

    # A key that nothing uses is nobody's identity.
    "services.openssh.hostKeys" = if config.services.openssh.enable or true then listOf (fields { path = leaf; }) else value null;
    "sops.age.sshKeyPaths" = forSecrets "sops" lines;
    "sops.age.keyFile" = forSecrets "sops" leaf;
    "sops.gnupg.sshKeyPaths" = forSecrets "sops" lines;
    "age.identityPaths" = forSecrets "age" lines;

    "networking.hostName" = leaf;
    # Files that options name beside all state: they are in use, wherever they lie.
    "swapDevices" = listOf (fields { device = leaf; });
    "boot.initrd.network.ssh.hostKeys" = lines;

    # Of a thousand definitions of this list none is the one to name.
    "assertions" = valueAs (listOf (where (a: a.assertion == false) (fields { message = leaf; }))) (config.assertions or null);
    "warnings" = listOf leaf;
  };
}
