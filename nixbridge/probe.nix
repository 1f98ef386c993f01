# The probe: how a dialect's projection reads one evaluated host.
#
# A projection is a file with a function
#
#   { probe }: { config, options }: {
#     detected = <bool: does this dialect apply to the host>;
#     sections = {
#       "services.restic.backups" = probe.attrsOf (probe.fields { paths = probe.any; user = probe.any; });
#       "fileSystems" = probe.attrsOf (probe.fields { device = probe.any; fsType = probe.any; });
#     };
#   }
#
# A section's name is an option path (plain names joined by dots). Its value is
# a shape, which says what of that option is read. Nothing else of the
# configuration is looked at. Shapes:
#
#   any               the whole value, to a depth of 8
#   anyTo N           the same, to a depth of N
#   lines             a text or a list of texts
#   text              a text; a package is read as its store path, as in "${package}"
#   names             only the names of an attribute set, as a list
#   present           true as soon as the value can be had at all
#   fields { a = S; } the named attributes of a set that are there
#   attrsOf S         every attribute of a set (but never `_module`)
#   listOf S          every element of a list
#   where P S         S where the predicate P holds of the value, else absent:
#                     listOf (where (a: !a.assertion) (fields { message = any; }))
#   via F S           S of (F value)
#
# A value of another type than its shape expects comes as it is, two levels
# deep, so `listOf (fields { directory = any; })` also reads a list of texts.
#
# Instead of a shape a section may hold what was found elsewhere:
#
#   option [ "services" "restic" "backups" ] S   an option whose path is not the section's name
#   value V                                      a computed value, read with `any`
#   valueAs S V                                  a computed value, read with shape S
#   valueAt S V P                                the same of a set; its attribute n is defined where the option path P.n is
#                                                (a list of names, or null)
#
# `probe.lib` is the lib that the host itself was evaluated with.
#
# What is read comes as JSON. Every place is isolated: one that throws becomes
# { "__stateward": "unknown", "kind": "throw" } and hides nothing beside it. An option that
# does not exist, or is hidden (`visible = false`: removed, renamed), is absent. A
# path becomes a text, its file is never copied. Texts lose their context, so
# nothing is built. A key of the configuration that could be taken for a marker,
# or that nix itself treats apart (`outPath`, `__toString`), is prefixed with "__stateward:".
#
# An error that tryEval cannot catch ends the evaluation. With `trace` each
# place is announced on standard error before it is entered, so that the last
# one announced is the culprit, which the next run is told to `skip`.
{
  # Places that are not evaluated: a tree of names with `true` at the place.
  skip ? {},
  # The one place to evaluate, as a list of names; null means all.
  only ? null,
  # Whether the place in `only` is evaluated without tryEval, so that its own error ends the run.
  raw ? false,
  # Whether each place is announced, behind the text `mark`.
  trace ? false,
  mark ? "",
  # Whether every text is checked to be UTF-8. Newer nix refuse to print others.
  utf8 ? false,
  # Whether definitions are located.
  origins ? true,
}: let
  inherit
    (builtins)
    all
    attrNames
    concatMap
    elem
    elemAt
    filter
    fromJSON
    genList
    groupBy
    head
    intersectAttrs
    isAttrs
    isList
    isString
    length
    listToAttrs
    map
    mapAttrs
    split
    stringLength
    substring
    tail
    toJSON
    tryEval
    typeOf
    unsafeDiscardStringContext
    unsafeGetAttrPos
    ;

  marker = kind: rest: {__stateward = kind;} // rest;
  unknown = kind: marker "unknown" {inherit kind;};
  absent = marker "absent" {};

  reserved = n: n == "outPath" || n == "__toString" || substring 0 11 n == "__stateward";
  escape = n:
    if reserved n
    then "__stateward:" + n
    else n;
  object = names: f:
    listToAttrs (map (n: {
        name = escape n;
        value = f n;
      })
      names);

  # A result as tryEval gives it, or the value itself where errors shall surface.
  attempt = bare: v:
    if bare
    then {
      success = true;
      value = v;
    }
    else tryEval v;
  quietly = default: v: let
    r = tryEval v;
  in
    if r.success
    then r.value
    else default;

  # --- UTF-8 -------------------------------------------------------------
  # Bytes cannot be written in an expression, but they can be cut from characters.
  wellFormed = let
    at = i: escaped: substring i 1 (fromJSON "\"${escaped}\"");
    lead = at 0;
    cont = "[${at 1 "\\u0080"}-${at 1 "\\u00bf"}]";
    two = "[${lead "\\u0080"}-${lead "\\u07c0"}]${cont}";
    three = "[${lead "\\u0800"}-${lead "\\uf000"}]${cont}${cont}";
    four = "[${lead "\\ud800\\udc00"}-${lead "\\udbc0\\udc00"}]${cont}${cont}${cont}";
  in "(${two}|${three}|${four})";
  # What is left of a text once every well-formed sequence is cut out may hold ASCII only.
  isUTF8 = s: all (p: !(isString p) || length (split "[^[:cntrl:][:print:]]" p) == 1) (split wellFormed s);

  readText = s: let
    t = unsafeDiscardStringContext s;
  in
    if utf8 && !(isUTF8 t)
    then unknown "form"
    else t;
  pathText = s: let
    t = readText s;
  in
    if isString t
    then marker "path" {path = t;}
    else t;

  # --- places ------------------------------------------------------------
  start = {
    path = [];
    inherit skip only;
    opt = null;
  };
  child = ctx: name:
    ctx
    // {
      path = ctx.path ++ [name];
      skip =
        if ctx.skip == {}
        then {}
        else ctx.skip.${name} or {};
      only =
        if ctx.only == null || ctx.only == []
        then ctx.only
        else tail ctx.only;
      opt = null;
    };
  wanted = ctx: names:
    if ctx.only == null || ctx.only == []
    then names
    else filter (n: n == head ctx.only) names;
  bare = ctx: raw && ctx.only == [];
  announce = ctx: v:
    if trace
    then builtins.trace "${mark}${toJSON ctx.path}" v
    else v;

  # Enters a place: announces it, isolates it, gives its value on.
  enter = ctx: v: ok:
    if ctx.skip == true
    then unknown "abort"
    else
      announce ctx (let
        r = attempt (bare ctx) v;
      in
        if r.success
        then ok r.value
        else unknown "throw");

  # --- options -----------------------------------------------------------
  isOption = o: quietly false (isAttrs o && (o._type or null) == "option");
  isHidden = o: o != null && quietly false (isAttrs o && (o._type or null) == "option" && (o.visible or true) == false);
  subOption = o: n:
    if o == null
    then null
    else
      quietly null (
        if isAttrs o && (o._type or null) != "option"
        then o.${n} or null
        else null
      );

  # --- shapes ------------------------------------------------------------
  namesOf = v: filter (n: n != "_module") (attrNames v);
  attrsAt = ctx: v: names: f:
    if utf8 && !(all isUTF8 names)
    then unknown "form"
    else object (filter (n: !(isHidden (subOption ctx.opt n))) (wanted ctx names)) (n: f n (child ctx n // {opt = subOption ctx.opt n;}) v.${n});
  listAt = ctx: v: f: let
    one = i: f (child ctx (toString i)) (elemAt v i);
  in
    if ctx.only == null || ctx.only == []
    then genList one (length v)
    else
      genList (i:
        if toString i == head ctx.only
        then one i
        else absent) (length v);

  isDerivation = v: quietly false ((v.type or null) == "derivation");

  walk = depth: ctx: v: let
    t = typeOf v;
  in
    if t == "set"
    then
      if isDerivation v
      then
        marker "derivation" {
          name = quietly "" (let
            t = readText v.name;
          in
            if isString t
            then t
            else "");
        }
      else if v ? __functor
      then unknown "function"
      else if v ? __toString
      then enter ctx (toString v) readText
      else if v ? outPath
      then enter ctx (toString v.outPath) pathText
      else if depth <= 0 && v != {}
      then unknown "depth"
      else attrsAt ctx v (namesOf v) (_: anyAt (depth - 1))
    else if t == "list"
    then
      if depth <= 0 && v != []
      then unknown "depth"
      else listAt ctx v (anyAt (depth - 1))
    else if t == "string"
    then readText v
    else if t == "path"
    then pathText (toString v)
    else if t == "lambda"
    then unknown "function"
    # An infinite float is no JSON.
    else if t == "float" && v - v != 0
    then unknown "form"
    else if elem t ["int" "bool" "null" "float"]
    then v
    else unknown "type";
  anyAt = depth: ctx: v: enter ctx v (walk depth ctx);
  other = walk 2;

  shape = read: {
    inherit read;
    below = null;
    items = false;
  };
  readAs = s:
    if isAttrs s && s ? read
    then s.read
    else throw "stateward: a projection uses something that is no shape";

  shapes = rec {
    anyTo = depth: shape (anyAt depth);
    any = anyTo 8;
    lines = anyTo 2;
    text = shape (ctx: v:
      enter ctx v (v:
        if isAttrs v && isDerivation v
        then enter ctx (toString v) readText
        else other ctx v));
    names = shape (ctx: v:
      enter ctx v (v:
        if isAttrs v
        then map readText (namesOf v)
        else other ctx v));
    present = shape (ctx: v: enter ctx v (_: true));
    fields = byName:
      shape (ctx: v:
        enter ctx v (v:
          if isAttrs v && !(isDerivation v)
          then attrsAt ctx v (attrNames (intersectAttrs byName v)) (n: readAs byName.${n})
          else other ctx v))
      // {below = n: byName.${n} or null;};
    attrsOf = each:
      shape (ctx: v:
        enter ctx v (v:
          if isAttrs v && !(isDerivation v)
          then attrsAt ctx v (filter (n: n != "__functor") (namesOf v)) (_: readAs each)
          else other ctx v))
      // {
        below = n:
          if n == "_module"
          then null
          else each;
      };
    listOf = each:
      shape (ctx: v:
        enter ctx v (v:
          if isList v
          then listAt ctx v (readAs each)
          else other ctx v))
      // {items = true;};
    where = holds: s:
      s
      // shape (ctx: v:
        enter ctx v (v:
          enter ctx (holds v) (yes:
            if yes == true
            then readAs s ctx v
            else absent)));
    via = f: s: shape (ctx: v: readAs s ctx (f v));

    value = valueAs any;
    valueAs = s: v: {
      rooted = ctx: readAs s ctx v;
      path = null;
      shape = s;
    };
    valueAt = s: v: paths: valueAs s v // {inherit paths;};
  };

  # Follows an option path; each step is isolated. The value itself is left to the shape.
  follow = bare: opt: v: path:
    if isHidden opt
    then {state = "absent";}
    else if path == []
    then {
      state = "there";
      inherit v opt;
    }
    else let
      r = attempt bare v;
    in
      if !r.success
      then {state = "throw";}
      else if !(isAttrs r.value && r.value ? ${head path})
      then {state = "absent";}
      else follow bare (subOption opt (head path)) r.value.${head path} (tail path);

  # --- where definitions stand --------------------------------------------
  # The contents of mkIf, mkMerge, mkOverride and mkOrder, as far as they count.
  unwrap = v: let
    r = tryEval v;
    x = r.value;
    t = quietly null (x._type or null);
  in
    if !r.success
    then []
    else if !(isAttrs x)
    then [x]
    else if t == "if"
    then
      (
        if quietly false (x.condition == true)
        then unwrap (x.content or null)
        else []
      )
    else if t == "merge"
    then
      concatMap unwrap (quietly [] (
        if isList x.contents
        then x.contents
        else []
      ))
    else if t == "override" || t == "order"
    then unwrap (x.content or null)
    else [x];

  plain = s: quietly "" (unsafeDiscardStringContext (toString s));
  # A line counts only in the file that the module system names: a helper function elsewhere did not decide.
  place = d: let
    file = plain d.file;
    posFile =
      if d.pos == null
      then ""
      else plain d.pos.file;
    named = file != "" && substring 0 1 file != "<";
    here = posFile != "" && (!named || substring 0 (stringLength posFile) file == posFile);
  in
    if here
    then {
      file = posFile;
      line = d.pos.line;
    }
    else if named
    then {inherit file;}
    else {};
  places = defs: filter (p: p != {}) (map place defs);

  itemText = e: let
    pick = n:
      if isAttrs e && e ? ${n} && isString e.${n}
      then e.${n}
      else null;
    first = filter (t: t != null) (map pick ["directory" "file" "path" "source" "where"]);
  in
    quietly "" (unsafeDiscardStringContext (
      if isString e
      then e
      else if first != []
      then head first
      else ""
    ));
  itemPos = e: d:
    if isAttrs e && e ? directory
    then unsafeGetAttrPos "directory" e
    else if isAttrs e && e ? file
    then unsafeGetAttrPos "file" e
    else d.pos;

  # defs: [ { file; pos; value; } ]. Each place is announced, since a definition may fail where its merged value does.
  located = ctx: depth: s: defs: let
    unwrapped = concatMap (d: map (x: d // {value = x;}) (unwrap d.value)) defs;
    sets = filter (d: isAttrs d.value) unwrapped;
    below = concatMap (d:
      map (n: {
        name = n;
        file = d.file;
        pos = unsafeGetAttrPos n d.value;
        value = d.value.${n};
      })
      (filter (n: s.below n != null) (attrNames d.value)))
    sets;
    elements = concatMap (d:
      concatMap (e: let
        r = tryEval e;
        t = itemText r.value;
      in
        if r.success && t != ""
        then [
          {
            name = t;
            file = d.file;
            pos = itemPos r.value d;
          }
        ]
        else [])
      d.value)
    (filter (d: isList d.value) unwrapped);
    at = places unwrapped;
  in
    enter ctx null (_:
      (
        if at == []
        then {}
        else {inherit at;}
      )
      // (
        if depth > 0 && s.below != null && below != []
        then {attrs = let g = groupBy (e: e.name) below; in object (attrNames g) (n: located (child ctx n) (depth - 1) (s.below n) g.${n});}
        else {}
      )
      // (
        if s.items && elements != []
        then {items = mapAttrs (_: places) (groupBy (e: e.name) elements);}
        else {}
      ));

  definitions = o: let
    pairs =
      if length (o.definitions or []) == length (o.files or [])
      then
        genList (i: {
          file = elemAt o.files i;
          value = elemAt o.definitions i;
        }) (length (o.files or []))
      else [];
    defs = o.definitionsWithLocations or pairs;
  in
    quietly [] (
      if isList defs
      then
        map (d: {
          file = d.file or "";
          pos = null;
          value = d.value;
        })
        defs
      else []
    );

  # The definitions of what lies at `path` below option tree o: the option is there, above it, or below it.
  locate = ctx: depth: s: o: path:
    if isOption o
    then located ctx depth s (descend (definitions o) path)
    else if !(quietly false (isAttrs o))
    then {}
    else if path != []
    then
      (
        if o ? ${head path}
        then locate ctx depth s o.${head path} (tail path)
        else {}
      )
    else if depth > 0 && s.below != null
    then {attrs = object (filter (n: s.below n != null && !(isHidden o.${n})) (attrNames o)) (n: let c = child ctx n; in enter c o.${n} (sub: locate c (depth - 1) (s.below n) sub []));}
    else {};
  descend = defs: path:
    if path == []
    then defs
    else
      descend (concatMap (d:
        concatMap (x:
          if isAttrs x && x ? ${head path}
          then [
            {
              file = d.file;
              pos = unsafeGetAttrPos (head path) x;
              value = x.${head path};
            }
          ]
          else []) (unwrap d.value))
      defs) (tail path);

  splitPath = s: filter isString (split "\\." s);

  # --- one dialect on one host ---------------------------------------------
  project = ctx: host: projection: let
    config = host.config;
    options = host.options or {};
    probe =
      shapes
      // {
        option = path: s: {
          rooted = ctx: readOption ctx path s;
          inherit path;
          shape = s;
        };
        lib = host.lib or (host.pkgs.lib or (host._module.args.pkgs.lib or
          (throw "lib is asked for, and the evaluated host has none: it has neither lib nor pkgs.lib")));
      };
    readOption = ctx: path: s:
      if ctx.skip == true
      then unknown "abort"
      else
        announce ctx (
          let
            found = follow (bare ctx) options config path;
          in
            if found.state == "there"
            then readAs s (ctx // {inherit (found) opt;}) found.v
            else if found.state == "throw"
            then unknown "throw"
            else absent
        );
    readSection = name: ctx: s:
      enter ctx s (s:
        if isAttrs s && s ? rooted
        then s.rooted ctx
        else if isAttrs s && s ? read
        then readOption ctx (splitPath name) s
        else readAs shapes.any ctx s);
    originOf = name: s: let
      path =
        if s ? rooted
        then s.path
        else splitPath name;
      under =
        if s ? rooted
        then s.shape
        else s;
    in
      ctx:
        if s ? paths
        then {
          attrs = object (wanted ctx (attrNames s.paths)) (n: let
            c = child ctx n;
          in
            enter c s.paths.${n} (p:
              if p == null
              then {}
              else locate c 0 shapes.any options p));
        }
        else if path == null || !(isAttrs under && under ? read)
        then {}
        else locate ctx 2 under options path;
    run = projection {inherit probe;} {inherit config options;};
    # A dialect that does not apply reads nothing.
    applies = c: p: c.skip != true && announce c (quietly false ((p.detected or false) == true));
    parts = ctx: p:
      {
        detected = c: enter c (p.detected or false) (d: d == true);
      }
      // (
        if !(applies (child ctx "detected") p)
        then {}
        else
          {
            sections = c:
              enter c (p.sections or {}) (s:
                object (wanted c (attrNames s)) (n: readSection n (child c n) s.${n}));
          }
          // (
            if origins && !raw
            then {
              where = c:
                enter c (p.sections or {}) (s:
                  object (wanted c (attrNames s)) (n: let o = child c n; in enter o s.${n} (shape: enter o (originOf n shape o) (t: t))));
            }
            else {}
          )
      );
  in
    enter ctx run (p: let ps = parts ctx p; in object (wanted ctx (attrNames ps)) (n: ps.${n} (child ctx n)));
in {
  # dialects: { <name> = <projection>; }; host: what nixpkgs' evalModules returns.
  # The configuration itself is entered first, at the empty path: when that
  # fails there is nothing to tell apart.
  read = dialects: host:
    announce start (
      let
        names = wanted start (attrNames dialects);
      in
        if !(isAttrs host && host ? config)
        then "no host"
        else
          builtins.seq (attrNames host.config)
          (object names (n: project (child start n) host dialects.${n}))
    );
}
