# Wires the settings of a host's plan, as `stateward plan host --write DIR` wrote it.
{
  config,
  lib,
  options,
  pkgs ? null,
  ...
}: let
  inherit (builtins) all any attrNames attrValues concatMap elem elemAt filter foldl' fromJSON genList isAttrs isList length listToAttrs mapAttrs match pathExists readFile stringLength substring toJSON;

  cfg = config.stateward;

  # The options that a plan may set. That these are known beforehand is what lets their values depend on an option.
  wired = fromJSON (readFile ./wired.json);

  # What is not there, and what was cut off, would be an error of nix by which nothing of the host could be known, not even what is to be written into the file.
  there = pathExists cfg.plan;
  text =
    if there
    then readFile cfg.plan
    else "";
  whole = let
    ends = n: substring (stringLength text - n) n text;
  in
    if stringLength text < 4
    then false
    else if substring 0 2 text == "{\n"
    then ends 3 == "\n}\n" || ends 2 == "\n}"
    else match "(.|\n)*}[[:space:]]*" (ends 4) != null;

  plan =
    if cfg.plan == null
    then null
    else if whole
    then fromJSON text
    else {};

  # Each { assertion; message } of a plan that is for something else: nothing of it is wired then.
  refusals =
    if !whole
    then [
      {
        assertion = false;
        message =
          if there
          then "stateward.plan is cut off, or no plan: ${baseNameOf (toString cfg.plan)}. Remove the file, and write it again: stateward plan host --write DIR."
          else "stateward.plan is a file that is not there: ${baseNameOf (toString cfg.plan)}. Write it, and have git track it where the flake is in a git repository: stateward plan host --write DIR.";
      }
    ]
    else [
      {
        assertion = plan.protocolVersion or null == "1";
        message = "stateward.plan has protocolVersion ${toJSON (plan.protocolVersion or null)}, and this module reads \"1\": write it again with the stateward that the module is of: stateward plan host --write DIR.";
      }
      {
        assertion = !(plan ? hostName) || plan.hostName == config.networking.hostName or plan.hostName;
        message = "stateward.plan is that of ${plan.hostName or ""}, and this host is ${config.networking.hostName or ""}: set it to the plan of this host.";
      }
    ];
  accepted = plan != null && all (one: one.assertion) refusals;

  parts = lib.optionals accepted (attrValues plan.settings);

  # --- paths ---------------------------------------------------------------
  has = path: set:
    (foldl' (at: name:
        if at.found && isAttrs at.value && at.value ? ${name}
        then {
          found = true;
          value = at.value.${name};
        }
        else {
          found = false;
          value = null;
        }) {
        found = true;
        value = set;
      }
      path)
  .found;
  get = path: set: foldl' (at: name: at.${name}) set path;
  nest = path: value: foldl' (inner: i: {${elemAt path (length path - 1 - i)} = inner;}) value (genList (i: i) (length path));
  dotted = lib.concatStringsSep ".";

  # --- values --------------------------------------------------------------
  scripts = mapAttrs (name: text: pkgs.writeShellScript name text) (plan.scripts or {});

  # What JSON has no form for is a set with _type.
  wire = value:
    if isList value
    then map wire value
    else if !(isAttrs value)
    then value
    else if !(value ? _type)
    then mapAttrs (_: wire) value
    else
      {
        script = "${scripts.${value.name}}${value.arguments}";
        config = get value.path config;
        default = lib.mkDefault (wire value.value);
        after = lib.mkAfter (wire value.value);
      }
      .${
        value._type
      } or (throw "stateward.plan has a value of the kind ${value._type}, which this module does not know.");

  settings = path: map (part: wire (get path part)) (filter (has path) parts);

  # --- what cannot be wired ------------------------------------------------
  begins = path: longer: length path < length longer && path == genList (elemAt longer) (length path);
  # The options that a plan sets: those of the table, and what none of them holds.
  sets = at: value:
    if !(elem at wired) && isAttrs value && (at == [] || any (begins at) wired)
    then concatMap (name: sets (at ++ [name]) value.${name}) (attrNames value)
    else [at];
  present = path: elem path wired && has path options;
  absent = lib.unique (filter (path: !(present path)) (concatMap (sets []) parts));
in {
  config = lib.mkMerge (
    map (path: nest path (lib.mkMerge (settings path))) (filter present wired)
    ++ [
      (lib.optionalAttrs (has ["environment" "systemPackages"] options) {
        environment.systemPackages = lib.mkMerge (lib.optionals accepted [
          (map (name:
            if name == "stateward"
            then cfg.package
            else pkgs.${name})
          (filter (name: name != "stateward" || cfg.package != null) plan.packages))
        ]);
      })
      {
        assertions = lib.mkMerge (lib.optionals (plan != null) [
          refusals
          (map (path: {
              assertion = false;
              message = "stateward.plan sets ${dotted path}, which this configuration does not have: import the module that declares it, or write the plan again.";
            })
            absent)
          [
            {
              assertion = !accepted || cfg.package != null || !(elem "stateward" plan.packages);
              message = "stateward.plan has units that run stateward, and stateward.package is not set: set it to the package, such as that of the flake of stateward.";
            }
          ]
        ]);
      }
    ]
  );
}
