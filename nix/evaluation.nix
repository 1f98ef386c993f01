# What `stateward eval` writes of evaluated hosts, in Nix: the format of docs/evaluation-format.md, read with the same probe and
# the same projections. No text has a context, so nothing is built for it.
#
#   import ./evaluation.nix {
#     self = <a flake with nixosConfigurations>;
#     hosts = null;         # names; null means all
#     config = null;        # a stateward.toml; null means the one beside flake.nix, if there is one; false means none
#     locations = true;     # whether definitions are located
#     utf8 = false;         # whether each text is checked to be UTF-8, which newer nix ask for
#   }
#
# It differs from what the command writes where a host does not evaluate. Of what throws, the message is lost, and what cannot
# be caught (a missing attribute, a wrong type, infinite recursion) ends the evaluation of the host, with its name in the trace:
# the command evaluates again without it. And only passwords in addresses are taken out; see docs/secrets.md.
{
  self,
  hosts ? null,
  config ? null,
  locations ? true,
  utf8 ? false,
}: let
  inherit
    (builtins)
    addErrorContext
    all
    any
    attrNames
    baseNameOf
    concatStringsSep
    deepSeq
    elem
    elemAt
    filter
    foldl'
    fromJSON
    genList
    hashString
    head
    isAttrs
    isList
    isString
    length
    listToAttrs
    map
    mapAttrs
    match
    nixVersion
    readFile
    replaceStrings
    split
    storeDir
    stringLength
    substring
    tail
    toJSON
    tryEval
    unsafeDiscardStringContext
    ;

  dialects = ../nixbridge/dialect;
  settings = import ./settings.nix {inherit self config;};

  contract = probe: import (dialects + "/stateward/contract.nix") {inherit probe;};
  builtin = {
    nixos = import (dialects + "/nixos/projection.nix");
    stateward = {probe}:
      import (dialects + "/stateward/projection.nix") {
        inherit probe;
        contract = contract probe;
      };
    qgroget = import (dialects + "/qgroget/projection.nix");
    homelab = import (dialects + "/homelab/projection.nix");
    table = (import ./table.nix (fromJSON (readFile (dialects + "/table/table.json")))).projection;
  };

  # A dialect of one's own is called after its file.
  own = file: let
    named = match "([A-Za-z_][A-Za-z0-9_'-]*)[.]nix" (unsafeDiscardStringContext (baseNameOf (toString file)));
    name =
      if named == null
      then throw "stateward: the file ${toString file} is no dialect: its name begins with a letter, has letters, digits, - and _ only, and ends in .nix"
      else head named;
    taken = builtin ? ${name} || name == "state";
  in {
    name =
      if taken
      then throw "stateward: the dialect ${toString file} is called like one that is built in: rename the file"
      else name;
    value = {probe}:
      import (dialects + "/own/projection.nix") {
        inherit probe name;
        contract = contract probe;
        hash = substring 0 12 (hashString "sha256" (readFile file));
      } (import file);
  };
  projections =
    builtin
    // listToAttrs (map own settings.dialects)
    // (
      if settings.state == []
      then {}
      else {state = (import ./table.nix settings.state).projection;}
    );

  probe = import ../nixbridge/probe.nix {
    inherit utf8;
    origins = locations;
  };

  # --- files -----------------------------------------------------------------
  folder = unsafeDiscardStringContext (toString self);
  repository = unsafeDiscardStringContext (toString (self.sourceInfo or self));
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  contains = part: text: replaceStrings [part] [""] text != text;
  names = path: filter (n: isString n && n != "") (split "/" path);
  drop = n: list: genList (i: elemAt list (n + i)) (length list - n);
  # In a store that is not at its own place some nix name the place on the disk.
  disk = match "(.+)${storeDir}/.*" (unsafeDiscardStringContext (toString ./.));
  inStore =
    if disk == null
    then text: text
    else replaceStrings ["${head disk}${storeDir}/"] ["${storeDir}/"];
  relative = text: let
    file = inStore text;
    rest = drop (length (names repository)) (names file);
    base = drop (length (names repository)) (names folder);
    go = from: to:
      if from != [] && to != [] && head from == head to
      then go (tail from) (tail to)
      else concatStringsSep "/" (map (_: "..") from ++ to);
  in
    if file == folder
    then "."
    else if hasPrefix "${folder}/" file
    then substring (stringLength folder + 1) (stringLength file) file
    else if hasPrefix "${repository}/" file
    then go base rest
    else file;
  located = v:
    if isString v
    then relative v
    else if isList v
    then map located v
    else if isAttrs v && !(v ? __stateward)
    then mapAttrs (_: located) v
    else v;

  # --- secrets ---------------------------------------------------------------
  # The password in an address, as internal/redact has it.
  addressed = text: let
    parts = filter isString (split "://" text);
    hide = part: let
      # Matching takes stack for each letter.
      begin = substring 0 512 part;
      user = match "([^[:space:]\"`<>/?#:@]*:)([^[:space:]\"`<>/?#]*)(@.*)" begin;
      password = elemAt user 1;
    in
      if user == null || password == "" || hasPrefix "$" password
      then part
      else "${head user}‹hidden›${elemAt user 2}${substring 512 (stringLength part) part}";
  in
    if length parts < 2
    then text
    else concatStringsSep "://" ([(head parts)] ++ map hide (tail parts));

  # --- what could not be had ---------------------------------------------------
  why = {
    throw = "it throws; in a flake's own checks nix tells no message, stateward check does";
    function = "it is a function";
    depth = "it is nested deeper than is read";
    form = "it is no UTF-8 text, or no finite number";
  };
  finished = v:
    if isString v
    then addressed (inStore v)
    else if isList v
    then map finished v
    else if !(isAttrs v)
    then v
    else if v.__stateward or null == "unknown"
    then
      v
      // (
        if why ? ${v.kind}
        then {message = why.${v.kind};}
        else {}
      )
    else mapAttrs (_: finished) v;
  unknown = "\"__stateward\":\"unknown\"";
  finish = v: let
    text = toJSON v;
  in
    if disk != null || contains unknown text || contains "://" text
    then finished v
    else v;

  # Nothing of a host can be had: no dialect is known to apply and of one it is not known, or each option that has a value throws.
  isUnknown = v: isAttrs v && v.__stateward or null == "unknown";
  isNothing = v: v == null || v == [] || v == {} || isAttrs v && v.__stateward or null == "absent";
  hopeless = tree: let
    each = map (n: tree.${n}) (attrNames tree);
    undetected = any (d: isUnknown d || isUnknown (d.detected or null)) each;
    applies = any (d: d.detected or null == true) each;
    sections = foldl' (all: d: all ++ map (n: d.sections.${n}) (attrNames (d.sections or {}))) [] (filter (d: !(isUnknown (d.sections or {}))) each);
    # What the projections compute of themselves is no value of the host.
    values = filter (v: !(isNothing v) && v != true) sections;
  in
    if applies
    then length values >= 3 && all isUnknown values
    else undetected;

  # --- hosts -------------------------------------------------------------------
  all' = self.nixosConfigurations or (throw "stateward: the flake has no nixosConfigurations");
  missing = filter (n: !(all' ? ${n})) hosts;
  wanted =
    if hosts == null
    then attrNames all'
    else if missing != []
    then throw "stateward: there is no host ${toJSON (head missing)}; there are ${concatStringsSep ", " (attrNames all')}"
    else filter (n: elem n hosts) (attrNames all');

  failed = kind: message: {
    status = "failed";
    error = {inherit kind message;};
  };
  evaluated = name: let
    r = tryEval (probe.read projections all'.${name});
    tree = mapAttrs (_: d:
      if isUnknown d
      then finished d
      else
        mapAttrs (part: v:
          if part == "where"
          then located v
          else finish v)
        d)
    r.value;
    seen = mapAttrs (_: d: removeAttrs d ["where"]) tree;
  in
    if !r.success
    then failed "throw" "the host throws; in a flake's own checks nix tells no message: stateward check .#${name} does"
    else if r.value == "no host"
    then failed "missing attribute" "this is no evaluated host: it has no attribute 'config'"
    else if hopeless r.value
    then failed "throw" "no value of the host can be had; in a flake's own checks nix tells no message: stateward check .#${name} does"
    else {
      inherit tree;
      status =
        if contains unknown (toJSON seen)
        then "partial"
        else "ok";
    };
  host = name: let
    e = addErrorContext "while stateward reads host '${name}'" (let v = evaluated name; in deepSeq v v);
  in
    {
      inherit name;
      source = ".#${name}";
    }
    // e;

  list = map host wanted;
  sectionsOf = h: mapAttrs (_: d: d.sections or {}) (h.tree or {});
in
  {
    format = "stateward-evaluation";
    version = 1;
    nix = nixVersion;
    source = ".";
    hosts = list;
  }
  // (
    if hosts == null
    then {}
    else {limited = true;}
  )
  // (
    if any (h: contains folder (toJSON (sectionsOf h))) list
    then {inherit folder;}
    else {}
  )
