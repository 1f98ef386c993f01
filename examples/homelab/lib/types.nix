# The types of options. A type says which values it takes (check) and how several
# definitions become one value (merge, which is given definitions of this type only).
lib: let
  inherit
    (builtins)
    all
    any
    attrNames
    attrValues
    concatLists
    concatMap
    elem
    filter
    foldl'
    genList
    head
    isAttrs
    isBool
    isFunction
    isInt
    isList
    isPath
    isString
    length
    mapAttrs
    toJSON
    ;
  inherit (lib) concatStringsSep evalModules filterAttrs hasPrefix mergeDefinitions showOption showValue;

  mkType = type:
    {
      _type = "option-type";
      description = type.name;
      check = _: true;
      merge = mergeEqual;
      # { value = …; } where the option has a value even if nobody sets it.
      emptyValue = {};
      getSubOptions = _: {};
      nestedTypes = {};
    }
    // type;

  values = map (def: def.value);

  differ = loc: defs:
    throw (concatStringsSep "\n" (
      ["The option `${showOption loc}' is set to different values; lib.mkForce lets one of them win:"]
      ++ map (def: "- ${def.file}: ${showValue def.value}") defs
    ));
  mergeEqual = loc: defs: let
    first = (head defs).value;
  in
    if all (def: def.value == first) defs
    then first
    else differ loc defs;
  mergeOne = loc: defs:
    if length defs == 1
    then (head defs).value
    else differ loc defs;

  # attrsOf and anything both merge sets name by name.
  mergeSets = type: loc: defs: let
    names = attrNames (foldl' (every: def: every // def.value) {} defs);
    under = name:
      concatMap (def:
        lib.optional (def.value ? ${name}) {
          inherit (def) file;
          value = def.value.${name};
        })
      defs;
    entry = name: {
      inherit name;
      value = mergeDefinitions (loc ++ [name]) type (under name);
    };
    entries = builtins.listToAttrs (map entry names);
  in
    mapAttrs (_: one: one.value) (filterAttrs (_: one: one.isDefined) entries);
in rec {
  # Any value, never merged.
  raw = mkType {
    name = "raw";
    description = "anything";
    merge = mergeOne;
  };

  # Any value; sets merge at every depth, lists are joined, all else must agree.
  anything = mkType {
    name = "anything";
    merge = loc: defs:
      if length defs == 1 && !isAttrs (head defs).value
      then (head defs).value
      else if all isAttrs (values defs)
      then mergeSets anything loc defs
      else if all isList (values defs)
      then concatLists (values defs)
      else mergeEqual loc defs;
  };

  bool = mkType {
    name = "bool";
    description = "true or false";
    check = isBool;
  };
  int = mkType {
    name = "int";
    description = "a whole number";
    check = isInt;
  };
  ints = {
    between = low: high:
      mkType {
        name = "intBetween";
        description = "a whole number from ${toString low} to ${toString high}";
        check = value: isInt value && low <= value && value <= high;
      };
    unsigned = mkType {
      name = "unsigned";
      description = "a whole number, 0 or more";
      check = value: isInt value && 0 <= value;
    };
    positive = mkType {
      name = "positive";
      description = "a whole number, 1 or more";
      check = value: isInt value && 1 <= value;
    };
  };
  port = ints.between 0 65535;

  str = mkType {
    name = "str";
    description = "a string";
    check = isString;
  };
  # Text whose definitions are put one below the other.
  lines = mkType {
    name = "lines";
    description = "text";
    check = isString;
    merge = _: defs: concatStringsSep "\n" (values defs);
  };
  path = mkType {
    name = "path";
    description = "an absolute path";
    check = value: isPath value || isString value && hasPrefix "/" value;
  };
  package = mkType {
    name = "package";
    description = "a package";
    check = value: isAttrs value && value.type or "" == "derivation";
  };
  enum = allowed:
    mkType {
      name = "enum";
      description = "one of ${concatStringsSep ", " (map toJSON allowed)}";
      check = value: elem value allowed;
    };

  listOf = type:
    mkType {
      name = "listOf";
      description = "a list of which each element is ${type.description}";
      check = isList;
      merge = loc: defs: let
        # Numbered across all definitions, so that a message can point at one.
        entries = concatMap (def:
          map (value: {
            inherit (def) file;
            inherit value;
          })
          def.value)
        defs;
        number = genList (i: {
          inherit i;
          entry = builtins.elemAt entries i;
        }) (length entries);
        merged = map ({
          i,
          entry,
        }:
          mergeDefinitions (loc ++ [i]) type [entry])
        number;
      in
        map (one: one.value) (filter (one: one.isDefined) merged);
      emptyValue.value = [];
      getSubOptions = loc: type.getSubOptions (loc ++ ["*"]);
      nestedTypes.elemType = type;
    };

  attrsOf = type:
    mkType {
      name = "attrsOf";
      description = "a set of which each attribute is ${type.description}";
      check = isAttrs;
      merge = mergeSets type;
      emptyValue.value = {};
      getSubOptions = loc: type.getSubOptions (loc ++ ["<name>"]);
      nestedTypes.elemType = type;
    };

  # A configuration within the configuration: what modules declare, what definitions set. Its modules
  # are also given `name`, the attribute under which it stands.
  submodule = modules: let
    base =
      if isList modules
      then modules
      else [modules];
    evaluate = loc: name: more:
      evalModules {
        modules = base ++ more;
        prefix = loc;
        specialArgs = {inherit name;};
      };
    # A set is all config, so that an option may be called `options`, as in fileSystems.
    asModule = def:
      if isAttrs def.value
      then {
        _file = def.file;
        config = def.value;
      }
      else {
        _file = def.file;
        imports = [def.value];
      };
    last = list: builtins.elemAt list (length list - 1);
  in
    mkType {
      name = "submodule";
      description = "a set of options";
      check = value: isAttrs value || isFunction value || isPath value;
      merge = loc: defs: (evaluate loc (toString (last loc)) (map asModule defs)).config;
      getSubOptions = loc: (evaluate loc "<name>" []).options;
    };

  nullOr = type:
    mkType {
      name = "nullOr";
      description = "null or ${type.description}";
      check = value: value == null || type.check value;
      merge = loc: defs:
        if all (value: value == null) (values defs)
        then null
        else if any (value: value == null) (values defs)
        then differ loc defs
        else type.merge loc defs;
      emptyValue.value = null;
      inherit (type) getSubOptions;
      nestedTypes.elemType = type;
    };

  either = a: b:
    mkType {
      name = "either";
      description = "${a.description} or ${b.description}";
      check = value: a.check value || b.check value;
      merge = loc: defs:
        if all a.check (values defs)
        then a.merge loc defs
        else if all b.check (values defs)
        then b.merge loc defs
        else differ loc defs;
      nestedTypes = {
        left = a;
        right = b;
      };
    };
  oneOf = list: foldl' either (head list) (builtins.tail list);

  # A value of one type, turned into another by f: a bare string into { directory = …; }.
  coercedTo = from: f: to:
    mkType {
      name = "coercedTo";
      description = "${from.description} or ${to.description}";
      check = value: from.check value || to.check value;
      merge = loc: defs:
        to.merge loc (map (def:
          def
          // {
            value =
              if from.check def.value
              then f def.value
              else def.value;
          })
        defs);
      inherit (to) emptyValue getSubOptions;
      nestedTypes = {
        coercedType = from;
        finalType = to;
      };
    };
}
