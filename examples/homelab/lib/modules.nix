# Modules in, one configuration out.
#
# A module is a set, a function to a set, or a file that holds either. It may have
# `imports`, `options` and `config`; a module with neither of the last two is all config.
lib: let
  inherit
    (builtins)
    attrNames
    attrValues
    concatMap
    elem
    filter
    foldl'
    functionArgs
    head
    intersectAttrs
    isAttrs
    isFunction
    isPath
    isString
    length
    mapAttrs
    tail
    typeOf
    ;
  inherit (lib) concatStringsSep mkOptionDefault nest overlay settle showOption showValue spread;

  isOption = value: isAttrs value && value._type or "" == "option";

  # The files of several declarations or definitions, for a message.
  inFiles = list: concatStringsSep " and " (lib.unique (map (one: one.file) list));
in rec {
  # mkOption { type; default; description; visible; apply; … }. Without a default the option has no
  # value until somebody sets it.
  mkOption = option:
    {
      _type = "option";
      type = lib.types.raw;
    }
    // option;
  mkEnableOption = what:
    mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether to enable ${what}.";
    };

  # The value of one option from its definitions, [ { file; value; } ].
  mergeDefinitions = loc: type: defs: let
    settled = settle defs;
    check = def:
      if type.check def.value
      then def
      else throw "The option `${showOption loc}' wants ${type.description}, but ${def.file} sets it to ${showValue def.value}.";
  in rec {
    definitions = settled;
    isDefined = settled != [];
    value =
      if isDefined
      then type.merge loc (map check settled)
      else type.emptyValue.value or (throw "The option `${showOption loc}' is used but never set.");
  };

  # An example or a default as Nix code, for documentation.
  literalExpression = text: {
    _type = "literalExpression";
    inherit text;
  };

  # evalModules { modules; specialArgs; prefix; } gives { config; options; extendModules; }. Each leaf of
  # options carries value, isDefined, files and definitionsWithLocations, as in nixpkgs.
  evalModules = {
    modules,
    specialArgs ? {},
    prefix ? [],
  }: let
    args = {inherit config extendModules lib options;} // specialArgs;

    # The same once more, with further modules.
    extendModules = more:
      evalModules {
        modules = modules ++ more.modules or [];
        specialArgs = specialArgs // more.specialArgs or {};
        inherit prefix;
      };

    call = file: f: let
      wanted = functionArgs f;
      absent = filter (name: !wanted.${name} && !(args ? ${name})) (attrNames wanted);
    in
      if wanted == {}
      then f args
      else if absent == []
      then f (intersectAttrs wanted args)
      else throw "The module ${file} asks for `${head absent}', which nobody gives it.";

    # One module as { key; file; imports; options; config; freeform; }.
    load = parent: module: let
      isFile = isPath module || isString module;
      given =
        if isFile
        then import module
        else module;
      source =
        if isFile
        then toString module
        else parent;
      body =
        if isFunction given
        then call source given
        else given;
      file = body._file or source;
      structured = body ? config || body ? options;
      known = ["_file" "config" "freeformType" "imports" "options"];
      strange = filter (name: !elem name known) (attrNames body);
    in
      if !isAttrs body
      then throw "${source} is no module: it is ${showValue body}."
      else if structured && strange != []
      then throw "The module ${file} has a `config' or `options', so `${head strange}' must go inside `config'."
      else {
        key =
          if isFile
          then source
          else null;
        inherit file;
        imports = body.imports or [];
        options = body.options or {};
        config =
          if structured
          then body.config or {}
          else removeAttrs body known;
        freeform = lib.optional (body ? freeformType) body.freeformType;
      };

    # What a module imports comes before it; a file imported twice counts once.
    collect = seen: parent: list:
      if list == []
      then {
        inherit seen;
        loaded = [];
      }
      else let
        one = load parent (head list);
        known = one.key != null && elem one.key seen;
        below = collect (seen ++ lib.optional (one.key != null) one.key) one.file one.imports;
        rest =
          collect (
            if known
            then seen
            else below.seen
          )
          parent (tail list);
      in {
        inherit (rest) seen;
        loaded = lib.optionals (!known) (below.loaded ++ [one]) ++ rest.loaded;
      };
    loaded = (collect [] "<inline>" modules).loaded;

    tree =
      branch prefix
      (map (m: {
          inherit (m) file;
          value = m.options;
        })
        loaded)
      (map (m: {
          inherit (m) file;
          value = m.config;
        })
        loaded);

    # Settings that no option declares are a mistake, unless the modules name a freeform type.
    freeform = concatMap (m: m.freeform) loaded;
    loose =
      mergeDefinitions prefix (head freeform)
      (map (stray: {
          inherit (stray) file;
          value = nest stray.path stray.value;
        })
        tree.strays);
    complaint = stray: "The option `${showOption (prefix ++ stray.path)}' does not exist; ${stray.file} sets it.";
    config =
      if tree.strays == []
      then tree.config
      else if freeform != []
      then overlay loose.value tree.config
      else throw (concatStringsSep "\n" (map complaint tree.strays));
    options = tree.options;
  in {
    _type = "configuration";
    inherit config extendModules options;
  };

  # A set of options: decls and defs are [ { file; value; } ], seen from loc. Gives config, options and
  # strays, the definitions that no option takes, [ { path; file; value; } ].
  branch = loc: decls: defs: let
    sets = concatMap (def: map (needSet loc) (spread def)) defs;
    under = name:
      concatMap (one:
        lib.optional (one.value ? ${name}) {
          inherit (one) file;
          value = one.value.${name};
        });
    names = attrNames (foldl' (all: decl: all // decl.value) {} decls);
    child = name: let
      here = loc ++ [name];
      declared = under name decls;
      leaves = filter (decl: isOption decl.value) declared;
    in
      if leaves == []
      then branch here declared (under name sets)
      else if length declared == 1
      then leaf here (head declared) (under name sets)
      else throw "The option `${showOption here}' is declared more than once, in ${inFiles declared}.";
    children = builtins.listToAttrs (map (name: {
        inherit name;
        value = child name;
      })
      names);
    below =
      concatMap
      (name: map (stray: stray // {path = [name] ++ stray.path;}) children.${name}.strays)
      names;
    own =
      concatMap
      (def:
        map (name: {
          path = [name];
          inherit (def) file;
          value = def.value.${name};
        })
        (filter (name: !(children ? ${name})) (attrNames def.value)))
      sets;
  in {
    config = mapAttrs (_: one: one.config) children;
    options = mapAttrs (_: one: one.options) children;
    strays = below ++ own;
  };

  needSet = loc: def:
    if isAttrs def.value
    then def
    else throw "`${showOption loc}' is a group of options, but ${def.file} sets it to ${showValue def.value}.";

  # One option.
  leaf = loc: decl: defs: let
    option = decl.value;
    byDefault = lib.optional (option ? default) {
      inherit (decl) file;
      value = mkOptionDefault option.default;
    };
    merged = mergeDefinitions loc option.type (byDefault ++ defs);
    value = (option.apply or (same: same)) merged.value;
  in {
    config = value;
    options =
      option
      // {
        inherit loc value;
        inherit (merged) isDefined;
        definitionsWithLocations = merged.definitions;
        definitions = map (def: def.value) merged.definitions;
        files = map (def: def.file) merged.definitions;
        declarations = [decl.file];
      };
    strays = [];
  };
}
