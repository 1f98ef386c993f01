# The collector: what enabled services declare as state is persisted, as `stateward plan persistence` lists it.
#
# What something else holds already is left out: a file system of its own, the host's own entries. So is what nobody could tell
# of, and what can be persisted nowhere, with a warning. It knows of no script that empties a file system at boot; `stateward check` does.
{
  config,
  extendModules,
  lib,
  options,
  ...
}: let
  inherit (builtins) attrNames attrValues concatMap concatStringsSep dirOf elem filter foldl' groupBy head isString length listToAttrs split stringLength substring tail;

  cfg = config.stateward;
  inherit (cfg.persistence) root;

  # The host without what is added here: what is added depends on what is mounted, and what is mounted on what is persisted.
  before = (extendModules {modules = [{stateward.persistence.enable = lib.mkOverride 0 false;}];}).config;

  # --- paths -----------------------------------------------------------------
  parts = text: filter (part: isString part && part != "" && part != ".") (split "/" text);
  clean = text: "/" + concatStringsSep "/" (parts text);
  isAbsolute = text: substring 0 1 text == "/" && !elem ".." (parts text);
  within = outer: inner: outer == "/" || inner == outer || lib.hasPrefix "${outer}/" inner;
  # A path and what is above it, but for "/".
  upwards = path:
    if path == "/"
    then []
    else [path] ++ upwards (dirOf path);

  # --- what holds a path --------------------------------------------------------
  volatile = ["tmpfs" "ramfs" "devtmpfs" "zram" "hugetlbfs"];
  orEmpty = text:
    if text == null
    then ""
    else text;
  mount = at: type: device: options: {
    at = clean at;
    inherit device;
    memory = elem type volatile || elem type ["" "auto"] && elem device volatile || lib.hasPrefix "/dev/zram" device || lib.hasPrefix "/dev/ram" device;
    from =
      if (elem "bind" options || elem "rbind" options) && isAbsolute device
      then clean device
      else null;
  };
  fileSystems =
    map (one: mount one.mountPoint (orEmpty (one.fsType or null)) (orEmpty (one.device or null)) (one.options or []))
    (attrValues (before.fileSystems or {}));
  units =
    map (one: mount one.where (orEmpty (one.type or null)) (orEmpty (one.what or null)) (filter isString (split "," (orEmpty (one.options or null)))))
    (before.systemd.mounts or []);
  mounts = groupBy (one: one.at) (filter (one: one.at != "/") (fileSystems ++ units));

  # What the host persists itself.
  persistence = before.environment.persistence or {};
  own = let
    roots = filter (one: one.enable or true) (attrValues persistence);
    paths = kind: resolved: concatMap (one: map (entry: clean (entry.${resolved} or entry.${kind} or entry)) (one.${kind} or [])) roots;
  in {
    directories = names (paths "directories" "dirPath");
    files = names (paths "files" "filePath");
  };
  names = list:
    listToAttrs (map (name: {
        inherit name;
        value = true;
      })
      list);

  # Datasets that services ask for, by their places: whether one is mounted that fileSystems does not have is not known from here.
  asked = listToAttrs (concatMap (one: let
    inherit (one) dataset;
    at =
      if said dataset.mountpoint
      then dataset.mountpoint
      else orEmpty one.dataDir;
  in
    lib.optional (dataset != null && said dataset.name && dataset.type != "volume" && (!(said dataset.canmount) || dataset.canmount == "on") && isAbsolute at) {
      name = clean at;
      value = dataset.name;
    })
  services);

  said = text: text != null && text != "";

  # Whether something holds a path: "yes", "no" or "unknown".
  held = seen: path: let
    found = filter (at: mounts ? ${at} || own.directories ? ${at} || asked ? ${at}) (upwards path);
    at = head found;
    ofMount = one:
      if one.memory
      then "no"
      else if one.from == null
      then "yes"
      else if elem one.from seen || within "/run" one.from
      then
        if elem one.from seen
        then "unknown"
        else "no"
      else held (seen ++ [one.from]) (clean "${one.from}${substring (stringLength at) (-1) path}");
    answers =
      lib.optional (own.directories ? ${at}) "yes"
      ++ map ofMount (mounts.${at} or [])
      ++ lib.optional (asked ? ${at} && !(lib.any (one: one.device == asked.${at}) (mounts.${at} or []))) "unknown";
  in
    if own.files ? ${path}
    then "yes"
    else if found == []
    then "no"
    else
      foldl' (all: one:
        if all == one
        then all
        else "unknown") (head answers) (tail answers);

  # What must not be persisted, be it somebody's state.
  unfit = path: path == "/" || lib.any (outer: within outer path) ["/tmp" "/nix" "/run" "/var/run" "/proc" "/sys" "/dev" "/etc/static"];

  # --- what services declare -----------------------------------------------------
  services = map (name: cfg.services.${name} // {inherit name;}) (filter (name: cfg.services.${name}.enable == true) (attrNames cfg.services));

  # The unit of a service, {} where there is none.
  unitOf = one: let
    units = before.systemd.services or {};
    given = map (unit: lib.removeSuffix ".service" unit) ((
        if one.units == null
        then []
        else one.units
      )
      ++ lib.optional (said one.unit) one.unit);
    there = filter (unit: units ? ${unit}) (given ++ [one.name]);
  in
    if there == []
    then {}
    else units.${head there}.serviceConfig or {};

  isOn = value: value == true || elem value [1 "1" "yes" "y" "true" "t" "on"];
  words = value:
    filter (word: isString word && word != "") (concatMap (split " ") (
      if isString value
      then [value]
      else value
    ));

  # State of a unit with DynamicUser= is below /var/lib/private, and /var/lib/NAME a link to it.
  dynamic = names (concatMap (one: let
    unit = unitOf one;
  in
    lib.optionals (isOn (unit.DynamicUser or false)) (map (dir: clean "/var/lib/${head (split ":" dir)}") (words (unit.StateDirectory or []))))
  services);

  # The places of a service, each with all declarations of it.
  rowsOf = one: let
    unit = unitOf one;
    resolve = text:
      if said text && !lib.hasPrefix "/" text && one.dataDir != null && isAbsolute one.dataDir
      then "${clean one.dataDir}/${text}"
      else text;
    or' = value: other:
      if said value
      then value
      else other;
    place = kind: text: entry: {
      inherit kind text;
      user = or' (entry.user or null) one.user;
      group = or' (entry.group or null) one.group;
      mode = entry.mode or null;
    };
    listed = list:
      if list == null
      then []
      else list;
    persist =
      if one.persist == null
      then {
        directories = [];
        files = [];
      }
      else one.persist;
    declared =
      map (text: place "directory" (resolve text) {}) (listed one.backupPaths)
      ++ lib.optional (one.dataDir != null) (place "directory" one.dataDir {})
      ++ map (entry: place "directory" entry.directory entry) (listed persist.directories)
      ++ map (entry: place "file" entry.file entry) (listed persist.files);
    isUsable = entry: isAbsolute entry.text && !unfit (clean entry.text);
    given = filter (entry: said entry.text) declared;
    usable = filter isUsable given;
    moved = entry: let
      path = clean entry.text;
    in
      if lib.any (at: dynamic ? ${at}) (upwards path)
      then
        entry
        // {
          path = "/var/lib/private";
          at = "/var/lib/private${lib.removePrefix "/var/lib" path}";
          user = null;
          group = null;
          mode = "0700";
        }
      else
        entry
        // {
          inherit path;
          at = path;
        };
    byPath = groupBy (entry: entry.at) (map moved usable);
  in {
    rows = map (path: {
      inherit one unit;
      entries = byPath.${path};
    }) (attrNames byPath);
    unusable = map (entry: "${entry.text} of ${one.name}") (filter (entry: !(isUsable entry)) given);
  };

  declarations = map rowsOf services;
  rows = concatMap (one: one.rows) declarations;
  unusable = concatMap (one: one.unusable) declarations;

  # Texts as services write them: what stands there itself is listed, be it below another entry.
  written = names (concatMap (one:
    filter said ([one.dataDir]
      ++ (
        if one.backupPaths == null
        then []
        else one.backupPaths
      )))
  services);

  # --- the list ------------------------------------------------------------------
  # What one entry leaves open, another may say.
  merge = a: b:
    a
    // {
      user =
        if said a.user
        then a.user
        else b.user;
      group =
        if said a.group
        then a.group
        else b.group;
      mode =
        if said a.mode
        then a.mode
        else b.mode;
    };

  # What nobody gave an owner belongs to the user as whom the service runs, and not to root.
  owned = row: entry: let
    inherit (row) unit;
    user =
      if said entry.user
      then entry.user
      else unit.User or null;
    account = before.users.users.${user} or {};
    ofUnit =
      if (unit.User or null) == user
      then unit.Group or null
      else null;
    group =
      if said ofUnit
      then ofUnit
      else account.group or null;
    settled = said entry.group || said entry.mode && !(said entry.user);
  in
    if settled || entry.path == "/var/lib/private" || isOn (unit.DynamicUser or false) || !(said user) || user == "root" || length (split "%" user) > 1
    then entry
    else
      entry
      // {inherit user;}
      // (
        if said group
        then {inherit group;}
        else {}
      );

  add = all: row: let
    entry = foldl' merge (head row.entries) (tail row.entries);
    inherit (entry) path;
    known = all.byPath ? ${path};
    first =
      entry
      // {
        listed = lib.any (one: written ? ${one.text}) row.entries;
        service = row.one.name;
      };
    answer = held [] (head row.entries).at;
  in
    if known
    then all // {byPath = all.byPath // {${path} = owned row (merge all.byPath.${path} entry);};}
    else if own.directories ? ${path} || own.files ? ${path} || root != "/" && within (clean root) path || answer == "yes"
    then all
    else if answer == "unknown"
    then all // {unknown = all.unknown ++ lib.optional (!(planned path)) "${path} of ${row.one.name}";}
    else
      all
      // {
        order = all.order ++ [path];
        byPath = all.byPath // {${path} = owned row first;};
      };

  # A plan that is wired makes the datasets that services ask for, and starts none of these before its own is mounted.
  planned = path: before.systemd.services or {} ? stateward-datasets && lib.any (at: asked ? ${at} && !(mounts ? ${at})) (upwards path);

  all =
    foldl' add {
      order = [];
      byPath = {};
      unknown = [];
    }
    rows;

  # State that is not written as such is persisted with the directory that it lies in.
  covered = path: let
    outer = filter (at: at != path && (all.byPath.${at}.kind or "") == "directory") (upwards path);
    between = filter (at: at != head outer && within (head outer) at && mounts ? ${at}) (upwards path);
  in
    outer != [] && !all.byPath.${path}.listed && between == [];

  found = map (path: all.byPath.${path}) (filter (path: !covered path) all.order);

  # A pool mounts its datasets where their own properties say, which nobody sees from here.
  pools = before.boot.zfs.extraPools or [];
  entries = lib.optionals (pools == []) found;

  written' = entry: let
    more = lib.filterAttrs (_: said) {inherit (entry) user group mode;};
  in
    if more == {}
    then entry.path
    else {directory = entry.path;} // more;
  ofKind = kind: filter (entry: entry.kind == kind) entries;

  on = cfg.persistence.enable == true;
  there = options ? environment.persistence;

  # --- the root ------------------------------------------------------------------
  pathOf = name: clean (persistence.${name}.persistentStoragePath or name);
  here = filter (name: pathOf name == clean root) (attrNames persistence);
  isOff = name: !(persistence.${name}.enable or true);
  elsewhere = filter (name: !(isOff name) && pathOf name != clean root) (attrNames persistence);
  rootIsMemory = lib.any (one: one.at == "/" && one.memory) fileSystems;
  lowest = filter (at: mounts ? ${at}) (upwards (clean root));
  emptied =
    if lowest == []
    then rootIsMemory && pools == []
    else !(lib.any (one: !one.memory) mounts.${head lowest});
in {
  config = lib.mkMerge [
    {
      assertions =
        lib.optional (on && !there) {
          assertion = false;
          message = "stateward.persistence.enable is true, and there is no option environment.persistence\n  Import the module of Impermanence, or persist what `stateward plan persistence` lists.\n  Example: imports = [inputs.impermanence.nixosModules.impermanence];";
        }
        ++ map (message: {
          assertion = false;
          inherit message;
        }) (lib.optionals (on && there) (
          map (name: "stateward.persistence.root is ${root}, and environment.persistence.\"${name}\".enable is false: nothing of it would be persisted") (filter isOff here)
          ++ lib.optional (here == [] && elsewhere != [])
          "stateward.persistence.root is ${root}, and environment.persistence has none there, but at ${concatStringsSep ", " (map pathOf elsewhere)}\n  Set the root to that, or declare what is at ${root}.\n  Example: stateward.persistence.root = \"${pathOf (head elsewhere)}\";"
          ++ lib.optional emptied
          "stateward.persistence.root is ${root}, which lies in memory: what is persisted there is gone after a reboot\n  Declare in fileSystems what is mounted at ${root}, or set the root to a place that stays."
        ));
      warnings =
        lib.optional (on && pools != [] && found != [])
        "stateward.persistence adds nothing: pool ${head pools} of boot.zfs.extraPools mounts its datasets where their own mountpoint property says, so whether something holds ${concatStringsSep ", " (map (entry: entry.path) found)} is not known. Declare these datasets in fileSystems, or persist them in environment.persistence."
        ++ lib.optional (on && all.unknown != [])
        "stateward.persistence leaves out ${concatStringsSep ", " (lib.unique all.unknown)}: whether something holds it already is not known, as of a dataset that is asked for and that no fileSystems and no plan mounts. Declare what is mounted there in fileSystems, or persist it in environment.persistence; stateward plan persistence says more."
        ++ lib.optional (on && unusable != [])
        "stateward.persistence leaves out ${concatStringsSep ", " (lib.unique unusable)}: what is no absolute path, or lies below /tmp, /run, /nix and the like, can be persisted nowhere.";
    }
    (lib.optionalAttrs there {
      environment.persistence = lib.mkIf on {
        ${root} = {
          directories = lib.mkAfter (map written' (ofKind "directory"));
          # Impermanence links a file or binds it, with the owner and mode that it has.
          files = lib.mkAfter (map (entry: entry.path) (ofKind "file"));
        };
      };
    })
  ];
}
