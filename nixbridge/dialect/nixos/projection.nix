# What is read of NixOS' own options, and of Impermanence's and disko's beside
# them. Leaves are named one by one: reading a submodule whole would meet options
# that have no value, that were removed, or that hold secrets.
{probe}: {
  config,
  options,
}: let
  inherit
    (builtins)
    any
    attrNames
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    genList
    head
    intersectAttrs
    isAttrs
    isList
    isString
    length
    isPath
    listToAttrs
    mapAttrs
    match
    removeAttrs
    storeDir
    stringLength
    substring
    tryEval
    ;
  inherit (probe) anyTo attrsOf fields lines listOf text value valueAs via where;
  leaf = anyTo 2;

  # Whether there is a text; the text itself, a script, is not read.
  given = via (v: v != null && v != "") leaf;

  # Reads a part of an option, and still says where the option's parts are defined.
  part = f: s: via f s // {inherit (s) below items;};

  # The parts of something that is switched off may have no value.
  enabled = s:
    part (v:
      if v.enable or false
      then v
      else {enable = false;}) (fields ({enable = leaf;} // s));

  entry = {
    dirPath = leaf;
    filePath = leaf;
    home = leaf;
    user = leaf;
    group = leaf;
    mode = leaf;
    hideMount = leaf;
    allowTrash = leaf;
    persistentStoragePath = leaf;
  };
  without = names: e:
    if isAttrs e
    then removeAttrs e names
    else e;
  entries = {
    directories = listOf (fields (entry // {directory = leaf;}));
    files = listOf (fields (entry
      // {
        file = leaf;
        method = leaf;
        parentDirectory = fields {
          user = leaf;
          group = leaf;
          mode = leaf;
        };
      }));
  };

  # --- Preservation: read where it is on ------------------------------------
  preserved = let
    options = listOf (fields {
      name = leaf;
      value = leaf;
    });
    entry = {
      how = leaf;
      inInitrd = leaf;
      user = leaf;
      group = leaf;
      mode = leaf;
      configureParent = leaf;
      createLinkTarget = leaf;
      parent = fields {
        user = leaf;
        group = leaf;
        mode = leaf;
      };
      mountOptions = options;
    };
    lists = {
      directories = listOf (fields (entry // {directory = leaf;}));
      files = listOf (fields (entry // {file = leaf;}));
      commonMountOptions = options;
    };
    on = holds (config.preservation.enable or false == true);
  in
    part (roots:
      if on
      then roots
      else mapAttrs (_: _: {}) roots)
    (attrsOf (fields (lists
      // {
        persistentStoragePath = leaf;
        users = attrsOf (fields (lists
          // {
            username = leaf;
            home = leaf;
          }));
      })));

  # --- home-manager: only of users who persist something, or run containers --------------------
  homes = let
    # Of a newer module these options are left, and throw.
    unlinked = r:
      if isAttrs r && r ? hideMounts
      then without ["defaultDirectoryMethod" "removePrefixDirectory"] r
      else r;
    unmethodical = e:
      if isAttrs e && e ? dirPath
      then without ["method"] e
      else e;
  in
    part (mapAttrs (_: u:
      if some (u.home.persistence or {}) || some (u.virtualisation.quadlet or {})
      then u
      else {})) (attrsOf (fields {
      virtualisation = fields {inherit quadlet;};
      home = fields {
        username = leaf;
        homeDirectory = text;
        persistence = attrsOf (via unlinked (fields (entries
          // {
            directories = listOf (via unmethodical (fields (entry
              // {
                directory = leaf;
                method = leaf;
              })));
            enable = leaf;
            persistentStoragePath = leaf;
            hideMounts = leaf;
            allowTrash = leaf;
            defaultDirectoryMethod = leaf;
            removePrefixDirectory = leaf;
          })));
      };
    }));

  mounts = listOf (fields {
    enable = leaf;
    where = leaf;
    what = leaf;
    type = leaf;
    options = leaf;
    mountConfig = fields {
      Where = leaf;
      What = leaf;
      Type = leaf;
      Options = leaf;
    };
  });

  # --- containers ------------------------------------------------------------
  # What cannot be had may be so.
  perhaps = test: let r = tryEval test; in !r.success || r.value;
  some = set: perhaps (set != {});

  # podman's storage has values only where podman is set up.
  forPodman = s: let
    v = config.virtualisation or {};
    oci = v.oci-containers or {};
    used =
      perhaps (v.podman.enable or false == true)
      || some (v.quadlet.containers or {})
      || some (v.quadlet.pods or {})
      || some (v.quadlet.volumes or {})
      || some (oci.containers or {}) && perhaps ((oci.backend or "podman") == "podman")
      || some (v.arion.projects or {}) && perhaps ((v.arion.backend or "docker") != "docker");
  in
    if used && perhaps (v.containers.enable or true == true)
    then s
    else value null;
  # Where there are no containers of NixOS' own kind, nothing else need be known of them.
  forNspawn = s:
    if some (config.containers or {})
    then s
    else value null;

  blanks = s: filter (w: isString w && w != "") (builtins.split "[ \t\n]+" s);
  # Of command line arguments those that mount something; the others may hold secrets.
  mounting = l: let
    flag = s: match "-v.*|(--volume|--mount)(=.*)?" s != null;
    separate = s: s == "-v" || s == "--volume" || s == "--mount";
    text = i: let
      s = builtins.elemAt l i;
    in
      if isString s
      then s
      else "";
  in
    builtins.genList (i:
      if flag (text i) || i > 0 && separate (text (i - 1))
      then text i
      else "") (builtins.length l);
  # One element may hold several arguments.
  several = s: isString s && match "(-v|--volume|--mount)[ \t\n].*|.*[ \t\n](-v|--volume|--mount)([ \t\n=].*)?" s != null;
  apart = s: concatStringsSep " " (mounting (blanks s));
  volumeOptions = via (l:
    if isString l
    then
      if several l
      then apart l
      else builtins.elemAt (mounting [l]) 0
    else if isList l
    then let
      whole = mounting l;
    in
      builtins.genList (i: let
        s = builtins.elemAt l i;
      in
        if several s
        then apart s
        else builtins.elemAt whole i) (builtins.length l)
    else l)
  lines;
  # The same of flags for systemd-nspawn.
  bindOptions = via (l: let
    words = concatMap (s:
      if isString s
      then blanks s
      else [s])
    l;
    text = i: let
      s = builtins.elemAt words i;
    in
      if isString s
      then s
      else "";
    separate = s: s == "--bind" || s == "--bind-ro";
  in
    if isList l
    then
      filter (s: s != "") (builtins.genList (i:
        if match "--bind(-ro)?(=.*)?" (text i) != null || i > 0 && separate (text (i - 1))
        then text i
        else "") (builtins.length words))
    else l)
  lines;
  # Of a unit file the lines that mount something, each with its section before it.
  mountLines = via (t: let
    all = builtins.split "\n" (builtins.replaceStrings ["\\\n"] [" "] t);
    step = at: line: let
      section = match "[ \t]*\\[([A-Za-z]+)][ \t\r]*" line;
      key = match "[ \t]*([A-Za-z]+)[ \t]*=[ \t]*(.*)" line;
      name = head key;
      rest = builtins.elemAt key 1;
    in
      if !(isString line)
      then at
      else if section != null
      then at // {section = head section;}
      else if key == null
      then at
      else if elem name ["Volume" "Mount" "Rootfs" "VolumeName" "Device" "Type" "Options" "Driver"]
      then at // {out = at.out ++ ["${at.section}.${name}=${rest}"];}
      else if name == "PodmanArgs"
      then at // {out = at.out ++ ["${at.section}.${name}=${concatStringsSep " " (mounting (blanks rest))}"];}
      else at;
  in
    if isString t
    then
      (foldl' step {
          section = "";
          out = [];
        }
        all).out
    else t)
  lines;
  quadlet = let
    object = name: s:
      attrsOf (fields {
        ${name} = fields s;
        rawConfig = mountLines;
        serviceConfig = fields {User = leaf;};
        rootlessConfig = fields {uid = leaf;};
      });
  in
    fields {
      enable = leaf;
      containers = object "containerConfig" {
        volumes = lines;
        mounts = lines;
        rootfs = leaf;
        podmanArgs = volumeOptions;
      };
      pods = object "podConfig" {
        volumes = lines;
        podmanArgs = volumeOptions;
      };
      volumes = object "volumeConfig" {
        name = leaf;
        driver = leaf;
        type = leaf;
        device = leaf;
        options = leaf;
      };
      kubes = attrsOf (fields {});
    };
  # What stands behind --data-root; the rest is none of our business.
  dataRoot = via (s: let
    m =
      if isString s
      then match "(.* )?(--data-root|-g|--graph)[= ]([^ ]+).*" s
      else null;
  in
    if m == null
    then null
    else builtins.elemAt m 2)
  leaf;
  whileOn = names:
    part (v:
      if isAttrs v && !(perhaps (v.enable or true == true))
      then removeAttrs v names
      else v);

  # Options of pgBackRest that say where to, for how long, and of what; of those that are secret only that they are given.
  ofPgbackrest = part (s:
    if isAttrs s
    then
      listToAttrs (concatMap (n:
        if pgbackrestSecret n
        then [
          {
            name = n;
            value =
              if perhaps (s.${n} != null)
              then "(hidden)"
              else null;
          }
        ]
        else if pgbackrestRead n
        then [
          {
            name = n;
            value = s.${n};
          }
        ]
        else []) (attrNames s))
    else s) (attrsOf leaf);
  pgbackrestRead = n: match "(repo[0-9]+-|pg[0-9]+-)?(path|type|host|sftp-host|retention-(full|full-type|diff|archive|archive-type)|s3-bucket|s3-endpoint|azure-container|gcs-bucket|archive-async|spool-path|archive-push-queue-max)" n != null;
  pgbackrestSecret = n: match "(repo[0-9]*-)?(cipher-pass|s3-key|s3-key-secret|s3-token|s3-sse-customer-key|azure-key|sftp-private-key-passphrase)" n != null;
  # The text of its file: its lines, with the values of what is read. A secret may stand in a comment, or in a line that is spelt wrong.
  pgbackrestText = let
    files = filter (f: perhaps (f.enable or true != false) && perhaps (isString (f.text or null))) (map (n: config.environment.etc.${n} or {}) ["pgbackrest/pgbackrest.conf" "pgbackrest.conf"]);
    line = l: let
      m = match "([ \t]*([a-z0-9-]+)[ \t]*=).*" l;
      is = what: match what l != null;
    in
      if !(isString l)
      then []
      else [
        (
          if is "[ \t\r]*"
          then ""
          else if is "[ \t]*#.*"
          then "#"
          else if is "[ \t]*\\[[^]]*][ \t\r]*"
          then l
          else if is "[ \t]*\\[.*"
          then "["
          else if m == null
          then
            (
              if is ".*=.*"
              then "(hidden)="
              else "(hidden)"
            )
          else if pgbackrestSecret (elemAt m 1)
          then head m + "(hidden)"
          else if pgbackrestRead (elemAt m 1)
          then l
          else head m
        )
      ];
  in
    if files == []
    then null
    else concatStringsSep "\n" (concatMap line (builtins.split "\n" (head files).text));

  # Whether somebody wants a server to be archived, and so to be known better.
  archived = perhaps ((config.stateward.pitr or {}) != {} && config.services.postgresql.enable or false != false);

  # Without secrets there is nothing to decrypt.
  forSecrets = module: s:
    if config.${module}.secrets or null == {}
    then value null
    else s;

  # The units that are made of other options, or that are no services.
  made = units: let
    s = tryEval (config.boot.initrd.systemd.services or {});
    stem = n: match "(.*)[.]service" n;
  in
    filter (n: stem n == null || s.success && s.value ? ${head (stem n)}) (attrNames units);

  # Of the scripts that run at every boot only those are looked at that are somebody's own, and of their texts only
  # which of the places they name by which a host is known.
  ownScripts = [
    "agenix"
    "agenixChown"
    "agenixInstall"
    "agenixNewGeneration"
    "binsh"
    "check-manual-hash"
    "createPersistentStorageDirs"
    "domain"
    "etc"
    "groups"
    "hashes"
    "hostname"
    "modprobe"
    "nix"
    "persist-files"
    "script"
    "setupSecrets"
    "setupSecretsForUsers"
    "specialfs"
    "stdio"
    "udevd"
    "users"
    "usrbinenv"
    "var"
    "wrappers"
  ];
  named = v: let
    s =
      if isAttrs v
      then v.text or ""
      else v;
    words = re: t: filter isString (builtins.split re t);
    copies = any (w: elem w ["cat" "cp" "dd" "echo" "install" "ln" "mount" "mv" "printf" "rsync" "scp" "tar" "tee"]) (words "[^[:alnum:]_.-]+" s);
    # What follows "/persist" is another place.
    at = p: map (m: head m) (filter isList (builtins.split "[^[:alnum:]_.}-](${p}[^[:space:]\"';&|()<>]*)" (" " + builtins.replaceStrings ["\n"] ["  "] s)));
    place = t:
      if match "/etc/machine-id" t != null || match "/etc/ssh/[[:alnum:]_.-]+" t != null
      then [t]
      else if !copies
      then []
      else if match "/etc/ssh(/.*)?" t != null
      then ["/etc/ssh"]
      else if match "/var/lib/systemd/?" t != null
      then ["/var/lib/systemd"]
      else if match "/var/lib/systemd/[[:alnum:]_./-]+" t != null
      then [t]
      else [];
  in
    if !isString s
    then []
    else if !any (p: builtins.replaceStrings [p] [""] s != s) ["/etc/machine-id" "/etc/ssh" "/var/lib/systemd"]
    then aboutDatasets s
    else
      aboutDatasets s
      ++ attrNames (listToAttrs (map (name: {
        inherit name;
        value = null;
      }) (concatMap place (concatMap at ["/etc/machine-id" "/etc/ssh" "/var/lib/systemd"]))));

  # Of a script that makes datasets, what it does about them; of any other nothing.
  aboutDatasets = text: let
    t = builtins.replaceStrings ["\\\n"] [" "] (" " + text);
    has = re: s: length (builtins.split re s) > 1;
    created = filter isString (builtins.split "zfs[[:space:]]+create[[:space:]]" t);
    firstLine = s: head (builtins.split "\n" s);
  in
    if length created < 2
    then []
    else
      ["zfs create"]
      ++ (
        if any (s: has "(^|[[:space:]])-o" (firstLine s)) (genList (i: elemAt created (i + 1)) (length created - 1))
        then ["-o"]
        else []
      )
      ++ (
        if has "[[:space:]]set[[:space:]]+[^-+[:space:]]|[[:space:]]inherit[[:space:]]" t
        then ["zfs set"]
        else []
      )
      ++ (
        if has "ch(own|mod|grp)[[:space:]]" t
        then ["chown"]
        else []
      )
      ++ (
        if has "mountpoint[[:space:]]+-|findmnt|mounted|/mounts|/mountinfo|zfs[[:space:]]+mount" t
        then ["mounted"]
        else []
      );
  # Only scripts of somebody's own units that have to do with ZFS are looked at: the distribution's make no datasets.
  ofZFS = name: u: let
    about = s: isString s && match ".*(zfs|zpool|dataset).*" s != null;
    own = match "(zfs-(import|sync|share|mount|zed|scrub|snapshot|replication|expand|volume).*|zpool-.*|prometheus-.*|s[ay]n[co]oid.*|zrepl|znapzend|systemd-.*)" name == null;
  in
    own
    && (about name
      || any about (concatMap (a: let
        r = tryEval (let v = u.${a} or []; in builtins.deepSeq v v);
        v = r.value;
      in
        if !r.success
        then []
        else if isList v
        then v
        else [v]) ["after" "before" "requires" "wants"]));
  # Who has an order or a need in unitConfig, with a list, has it there beside what stands in the option for it.
  ordered = u:
    mapAttrs (option: own: let
      more = let
        r = tryEval (let v = (u.unitConfig or {}).${orders.${option}} or null; in builtins.deepSeq v v);
      in
        if r.success && isList r.value
        then filter isString r.value
        else [];
    in
      if !(isList own) || more == []
      then own
      else own ++ filter (w: isString w && w != "" && !(elem w own)) (concatMap (builtins.split "[[:space:]]+") more)) (intersectAttrs orders u);
  orders = {
    after = "After";
    before = "Before";
    requires = "Requires";
    wants = "Wants";
    bindsTo = "BindsTo";
  };
  # Whether there is something to execute is asked of units that restore data only.
  preseeds = name: match "(stateward-)?preseed-.+" name != null;
  # Which tool a unit makes base backups of PostgreSQL with, where its name may be that of one which does.
  ofBaseBackups = name: match "(.*[^[:alnum:]])?(pgbackrest|barman|wal-g|pitr|pg[-_]?basebackup|basebackups?|postgres|postgresql)([^[:alnum:]].*)?" name != null;
  baseBackup = u: let
    v = (u.serviceConfig or {}).ExecStart or "";
    t = builtins.replaceStrings ["\"" "'" "\\\n"] ["" "" " "] (concatStringsSep "\n" (filter isString ([(u.script or "")]
      ++ (
        if isList v
        then v
        else [v]
      )))
    + "\n");
    runs = tool: command:
      length (builtins.split "${tool}${
          if command == ""
          then ""
          else "[[:blank:]]([^\n;|&]*[[:blank:]])?${command}"
        }[[:space:];|&]"
        t)
      > 1;
    found = filter (c: runs (head c) (elemAt c 1)) [["pgbackrest" "backup"] ["barman-cloud-backup" ""] ["barman" "backup"] ["wal-g" "backup-push"] ["pg_basebackup" ""]];
  in
    if found == []
    then null
    else concatStringsSep " " (filter (w: w != "") (head found));
  withScript = name: u:
    if !(isAttrs u)
    then u
    else
      removeAttrs u (
        if preseeds name
        then []
        else ["requiredBy"]
      )
      // ordered u
      // (
        if preseeds name
        then {
          executes = let
            v = (u.serviceConfig or {}).ExecStart or "";
          in
            (u.script or "")
            != ""
            || (
              if isList v
              then any (e: e != "") v
              else v != "" && v != null
            );
        }
        else {}
      )
      // (
        if ofBaseBackups name
        then {baseBackup = baseBackup u;}
        else {}
      )
      // {
        script = let
          exec = a: let
            v = (u.serviceConfig or {}).${a} or [];
          in
            filter isString (
              if isList v
              then v
              else [v]
            );
          words = aboutDatasets (concatStringsSep "\n" (filter isString [(u.preStart or "") (u.script or "") (u.postStart or "")] ++ exec "ExecStartPre" ++ exec "ExecStart"));
        in
          if !(ofZFS name u) || words == []
          then null
          else
            words
            ++ (
              if u.restartIfChanged or true == false
              then ["not restarted"]
              else []
            );
      };

  # --- services.<name>: its directory, by whatever name ---------------------
  dirs = {
    dataDir = leaf;
    datadir = leaf;
    dataDirectory = leaf;
    dataPath = leaf;
    stateDir = leaf;
    statePath = leaf;
    storageDir = leaf;
    storagePath = leaf;
    # The value decides whether these name state: see placeOptions of services.go.
    backupDir = leaf;
    baseDir = leaf;
    configDir = leaf;
    configPath = leaf;
    contentDir = leaf;
    databaseDir = leaf;
    databasePath = leaf;
    dbDir = leaf;
    dbPath = leaf;
    dbpath = leaf;
    home = leaf;
    homeDir = leaf;
    libDir = leaf;
    libraryPath = leaf;
    location = leaf;
    mediaDir = leaf;
    mediaLocation = leaf;
    repositoryRoot = leaf;
    spoolDir = leaf;
    statedir = leaf;
    uploadDir = leaf;
    userDir = leaf;
    varDir = leaf;
    viewIndexDir = leaf;
    workDir = leaf;
    workingDir = leaf;
  };
  # A service that is off need not have values, and often its directory throws.
  quiet = s: let
    off = holds (isAttrs s && s.enable or true == false);
  in
    if off
    then
      mapAttrs (_: v: let
        r = tryEval v;
      in
        if r.success
        then r.value
        else null)
      s
    else s;
  service = part quiet (fields ({enable = leaf;} // dirs));

  # options.services alone decides which services are looked at: it is there
  # without anything being evaluated. What is no plain set of options is left out.
  holds = test: let r = tryEval test; in r.success && r.value;
  visible = o: isAttrs o && o._type or null == "option" && o.visible or true != false;
  has = set: name: set ? ${name} && holds (visible set.${name});
  declares = o: holds (isAttrs o && o._type or null != "option" && has o "enable" && any (has o) (attrNames dirs));
  declared = let
    tree = options.services;
  in
    listToAttrs (map (name: {
      inherit name;
      value = true;
    }) (filter (n: declares tree.${n}) (attrNames tree)));
  # A directory in the store is a package's own data, unless a definition beside the module tree that declares the option says so.
  inStore = v: (isString v || isPath v) && substring 0 11 (toString v) == "/nix/store/";
  setBeside = service: name:
    holds (
      let
        o = options.services.${service}.${name};
        tree = file: let
          m = match "(.*/nixos/modules/).*" file;
        in
          if m == null
          then file
          else head m;
        own = map (d: tree (toString d)) o.declarations;
        foreign = file: !(any (t: substring 0 (stringLength t) file == t) own);
      in
        own != [] && any (file: foreign (toString file)) o.files
    );
  unpacked = given: s:
    if isAttrs s
    then
      mapAttrs (name: v:
        if dirs ? ${name} && inStore v && !(given name)
        then null
        else v)
      s
    else s;
  services =
    if options ? services
    then let
      s = attrsOf service;
    in
      via (v: mapAttrs (name: unpacked (setBeside name)) (intersectAttrs declared v)) s
      // {
        below = n:
          if declared ? ${n}
          then s.below n
          else null;
      }
    # Where there are no options, the values themselves tell.
    else attrsOf (where (s: isAttrs s && s ? enable && any (d: s ? ${d}) (attrNames dirs)) (via (unpacked (_: false)) service));

  # --- what tmpfiles and environment.etc make ---------------------------------
  # The module system names the files of a list, which costs nothing. What these write for every host is a link to the
  # store, at no place of interest, and would have a C library, or a graphics driver, instantiated.
  tmpfilesRules = let
    defs = tryEval (options.systemd.tmpfiles.rules.definitionsWithLocations or null);
    dull = file: match ".*/nixos/modules/(config/ldso|hardware/graphics|hardware/opengl)[.]nix" file != null;
    ofFile = d: let
      file = toString d.file;
    in
      if dull file
      then {skipped = length d.value;}
      else {
        inherit file;
        rules = contentless d.value;
      };
  in
    if defs.success && isList defs.value
    then map ofFile defs.value
    else contentless (config.systemd.tmpfiles.rules or null);

  # What such a rule writes into a file may be a secret; that it does is all that counts. A line with quotes or escapes is left as it is.
  writes = type: match "[fFw].*" type != null;
  withoutContent = line: let
    field = "[^[:space:]\"'\\]+";
    head6 =
      if isString line && match "[[:space:]]*[fFw].*" line != null
      then match "([[:space:]]*(${field}[[:space:]]+){5}${field})[[:space:]].*" line
      else null;
  in
    if head6 == null
    then line
    else "${head head6} (left out)";
  contentless = lines:
    if isList lines
    then map withoutContent lines
    else lines;
  fileless = rules:
    if !(isAttrs rules)
    then rules
    else
      mapAttrs (type: rule:
        if holds (isAttrs rule && writes (rule.type or type) && rule.argument or "" != "")
        then rule // {argument = "(left out)";}
        else rule)
      rules;

  # Nothing below these outlives a boot, and what the rules there link to may be large to evaluate.
  inMemory = path: match "/(run|dev|proc|sys|tmp)/.*" path != null;
  outsideMemory = files:
    mapAttrs (_: paths:
      if isAttrs paths
      then removeAttrs paths (filter inMemory (attrNames paths))
      else paths)
    files;

  # Of environment.etc only what is written as a text, and so may lie beside the store. Files and packages
  # need not be looked at, and the distribution's own texts name packages, which cost much to evaluate.
  unwrap = v: let
    t = v._type or null;
  in
    if !(isAttrs v)
    then [v]
    else if t == "if"
    then
      (
        if v.condition
        then unwrap v.content
        else []
      )
    else if t == "merge"
    then concatMap unwrap v.contents
    else if t == "override" || t == "order"
    then unwrap v.content
    else [v];
  beside = v: isString v && substring 0 (stringLength storeDir) v != storeDir;
  linkedEtc = let
    o = options.environment.etc;
    own = map (d: match "(.*/nixos/modules)/system/etc/etc[.]nix" (toString d)) o.declarations;
    foreign = file: !(any (m: m != null && substring 0 (stringLength (head m)) file == head m) own);
    linked = entry: any (e: isAttrs e && e ? source && any beside (unwrap e.source)) (unwrap entry);
    namesIn = set:
      if isAttrs set
      then filter (n: let r = tryEval (linked set.${n}); in !r.success || r.value) (attrNames set)
      else [];
    # Older module systems give the files in a list of their own.
    pairs = genList (i: {
      file = elemAt o.files i;
      value = elemAt o.definitions i;
    }) (length o.files);
  in
    concatMap (d:
      if foreign (toString d.file)
      then concatMap namesIn (unwrap d.value)
      else []) (o.definitionsWithLocations or pairs);
  etcEntry = fields {
    enable = leaf;
    target = leaf;
    mode = leaf;
    source = text;
  };
  etc =
    if options ? environment.etc && (options.environment.etc ? definitionsWithLocations || options.environment.etc ? files)
    then
      part (all:
        intersectAttrs (listToAttrs (map (name: {
          inherit name;
          value = null;
        }) (linkedEtc ++ ["machine-id"])))
        all) (attrsOf etcEntry)
    else attrsOf etcEntry;
in {
  detected = config ? fileSystems || config ? systemd || config ? environment.persistence;

  sections = {
    "environment.persistence" = attrsOf (fields (entries
      // {
        enable = leaf;
        persistentStoragePath = leaf;
        hideMounts = leaf;
        allowTrash = leaf;
        users = attrsOf (fields (entries // {home = leaf;}));
      }));

    "preservation.enable" = leaf;
    "preservation.preserveAt" = preserved;
    "home-manager.users" = homes;

    "fileSystems" = attrsOf (fields {
      enable = leaf;
      mountPoint = leaf;
      device = leaf;
      label = leaf;
      fsType = leaf;
      options = lines;
      neededForBoot = leaf;
      depends = lines;
    });
    "systemd.mounts" = mounts;
    # The other kind of initrd does not look at them.
    "boot.initrd.systemd.mounts" = part (l:
      if holds (config.boot.initrd.systemd.enable or false == false)
      then []
      else l)
    mounts;

    "boot.initrd.systemd.enable" = leaf;
    "boot.kernelParams" = lines;
    "boot.initrd.preDeviceCommands" = leaf;
    "boot.initrd.preLVMCommands" = leaf;
    "boot.initrd.postDeviceCommands" = leaf;
    "boot.initrd.postResumeCommands" = leaf;
    "boot.initrd.postMountCommands" = leaf;
    "boot.initrd.systemd.services" = attrsOf (fields {
      enable = leaf;
      script = leaf;
      preStart = leaf;
      postStart = leaf;
      serviceConfig = fields {
        ExecCondition = lines;
        ExecStartPre = lines;
        ExecStart = lines;
        ExecStartPost = lines;
        ExecStop = lines;
      };
    });
    # A unit that is no service of the list above is written by hand.
    "boot.initrd.systemd.units" = via (units: removeAttrs units (made units)) (attrsOf (fields {
      enable = leaf;
      text = leaf;
    }));
    "boot.zfs.extraPools" = lines;

    "systemd.services" = part (set:
      if isAttrs set
      then mapAttrs withScript set
      else set) (attrsOf (fields {
      enable = leaf;
      script = lines;
      executes = leaf;
      baseBackup = leaf;
      requiredBy = lines;
      after = lines;
      before = lines;
      requires = lines;
      wants = lines;
      bindsTo = lines;
      wantedBy = lines;
      unitConfig = fields {
        RequiresMountsFor = lines;
        DefaultDependencies = leaf;
        AssertPathIsMountPoint = lines;
        ConditionPathIsMountPoint = lines;
        "X-Stateward-Job" = leaf;
      };
      serviceConfig = fields {
        StateDirectory = lines;
        StateDirectoryMode = leaf;
        CacheDirectory = lines;
        LogsDirectory = lines;
        ReadWritePaths = lines;
        BindPaths = lines;
        WorkingDirectory = leaf;
        User = leaf;
        Group = leaf;
        DynamicUser = leaf;
        Type = leaf;
      };
    }));
    "system.activationScripts" = via (set:
      if isAttrs set
      then removeAttrs set ownScripts
      else set) (attrsOf (via named lines));
    "systemd.timers" = attrsOf (fields {
      enable = leaf;
      timerConfig = fields {Persistent = leaf;};
    });
    "services" = services;

    "virtualisation.oci-containers" = fields {
      backend = leaf;
      containers = attrsOf (fields {
        volumes = lines;
        extraOptions = volumeOptions;
        serviceName = leaf;
        podman = fields {user = leaf;};
      });
    };
    "virtualisation.quadlet" = quadlet;
    "virtualisation.arion" = fields {
      backend = leaf;
      projects = attrsOf (fields {
        serviceName = leaf;
        settings = fields {
          project = fields {name = leaf;};
          services = attrsOf (fields {
            service = fields {
              volumes = listOf (fields {
                type = leaf;
                source = leaf;
                read_only = leaf;
              });
            };
          });
          docker-compose = fields {
            volumes = attrsOf (fields {
              name = leaf;
              external = leaf;
              driver = leaf;
              driver_opts = fields {
                type = leaf;
                device = leaf;
                o = leaf;
              };
            });
          };
        };
      });
    };
    "containers" = attrsOf (fields {
      ephemeral = leaf;
      extraFlags = bindOptions;
      bindMounts = attrsOf (fields {
        hostPath = leaf;
        mountPoint = leaf;
        isReadOnly = leaf;
      });
    });
    "boot.enableContainers" = forNspawn leaf;
    "system.stateVersion" = forNspawn leaf;
    "virtualisation.containers.storage.settings" = forPodman (fields {
      storage = fields {
        graphroot = leaf;
        rootless_storage_path = leaf;
      };
    });
    "virtualisation.docker" = whileOn ["daemon" "extraOptions"] (fields {
      enable = leaf;
      extraOptions = dataRoot;
      daemon = fields {settings = fields {data-root = leaf;};};
      rootless = whileOn ["daemon"] (fields {
        enable = leaf;
        daemon = fields {settings = fields {data-root = leaf;};};
      });
    });
    "virtualisation.podman" = fields {enable = leaf;};
    "virtualisation.libvirtd" = fields {enable = leaf;};
    "virtualisation.incus" = fields {enable = leaf;};
    "virtualisation.lxd" = fields {enable = leaf;};
    "virtualisation.waydroid" = fields {enable = leaf;};

    "services.restic.backups" = attrsOf (fields {
      paths = lines;
      exclude = lines;
      repository = leaf;
      repositoryFile = leaf;
      passwordFile = leaf;
      environmentFile = leaf;
      user = leaf;
      initialize = leaf;
      pruneOpts = lines;
      extraBackupArgs = lines;
      timerConfig = fields {
        OnCalendar = lines;
        RandomizedDelaySec = leaf;
        Persistent = leaf;
        OnActiveSec = leaf;
        OnBootSec = leaf;
        OnStartupSec = leaf;
        OnUnitActiveSec = leaf;
        OnUnitInactiveSec = leaf;
      };
      dynamicFilesFrom = given;
      backupPrepareCommand = given;
      backupCleanupCommand = given;
    });
    "services.borgbackup.jobs" = attrsOf (fields {
      paths = lines;
      exclude = lines;
      patterns = lines;
      extraCreateArgs = lines;
      repo = leaf;
      user = leaf;
      doInit = leaf;
      startAt = lines;
      persistentTimer = leaf;
      prune = fields {keep = leaf;};
      encryption = fields {passphrase = given;};
      dumpCommand = given;
      preHook = given;
      postHook = given;
    });
    # The settings of a server that is off are nobody's.
    "services.postgresql.settings" =
      if holds (config.services.postgresql.enable or false == false)
      then value null
      else
        fields ({
            archive_mode = leaf;
            archive_command = leaf;
            archive_library = leaf;
            archive_timeout = leaf;
            wal_level = leaf;
            # It may hold a password: that it is there is all that is read.
            primary_conninfo = via (v: v != null && v != "") leaf;
          }
          // (
            if archived
            then {
              port = leaf;
              unix_socket_directories = leaf;
            }
            else {}
          ));
    "services.postgresql.pgbackrestConf" =
      if holds (config.services.postgresql.enable or false == false)
      then value null
      else valueAs leaf pgbackrestText;
    "services.postgresql.package" =
      if archived
      then via (p: p.psqlSchema or p.version or null) leaf
      else value null;
    "services.pgbackrest" = enabled {
      settings = ofPgbackrest;
      repos = attrsOf ofPgbackrest;
      commands = fields {archive-push = ofPgbackrest;};
      stanzas = attrsOf (fields {
        settings = ofPgbackrest;
        instances = attrsOf ofPgbackrest;
        jobs = attrsOf (fields {
          schedule = leaf;
          type = leaf;
        });
      });
    };
    "services.sanoid" = enabled {
      interval = lines;
      datasets = attrsOf leaf;
      templates = attrsOf leaf;
      settings = attrsOf leaf;
    };
    "services.syncoid" = enabled {
      interval = lines;
      commonArgs = lines;
      commands = attrsOf (fields {
        source = leaf;
        target = leaf;
        recursive = leaf;
        sendOptions = leaf;
        recvOptions = leaf;
        extraArgs = lines;
        useCommonArgs = leaf;
      });
    };
    "disko.devices.zpool" = attrsOf (fields {
      rootFsOptions = leaf;
      mountpoint = leaf;
      datasets = attrsOf (fields {
        type = leaf;
        mountpoint = leaf;
        options = leaf;
      });
    });

    "users.users" = attrsOf (fields {
      enable = leaf;
      uid = leaf;
      group = leaf;
      home = text;
      isNormalUser = leaf;
      hashedPasswordFile = leaf;
    });
    "users.groups" = attrsOf (fields {gid = leaf;});

    "systemd.tmpfiles.rules" =
      valueAs (listOf (fields {
        file = leaf;
        skipped = leaf;
        rules = listOf leaf;
      }))
      tmpfilesRules;
    "systemd.tmpfiles.settings" = part outsideMemory (attrsOf (attrsOf (part fileless (attrsOf (fields {
      type = leaf;
      mode = leaf;
      user = leaf;
      group = leaf;
      age = leaf;
      argument = leaf;
    })))));
    "environment.etc" = etc;

    # A key that nothing uses is nobody's identity.
    "services.openssh.hostKeys" =
      if config.services.openssh.enable or true
      then listOf (fields {path = leaf;})
      else value null;
    "sops.age.sshKeyPaths" = forSecrets "sops" lines;
    "sops.age.keyFile" = forSecrets "sops" leaf;
    "sops.gnupg.sshKeyPaths" = forSecrets "sops" lines;
    "age.identityPaths" = forSecrets "age" lines;

    "networking.hostName" = leaf;
    # Files that options name beside all state: they are in use, wherever they lie.
    "swapDevices" = listOf (fields {device = leaf;});
    "boot.initrd.network.ssh.hostKeys" = lines;

    # Of a thousand definitions of this list none is the one to name.
    "assertions" = valueAs (listOf (where (a: a.assertion == false) (fields {message = leaf;}))) (config.assertions or null);
    "warnings" = listOf leaf;
  };
}
