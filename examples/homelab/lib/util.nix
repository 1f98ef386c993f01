# Small helpers for lists, sets, strings and messages.
let
  inherit (builtins) attrNames concatMap concatStringsSep filter foldl' isInt isList listToAttrs match stringLength substring toJSON typeOf;
in rec {
  inherit (builtins) attrValues concatMap concatStringsSep elem filter mapAttrs;

  optional = condition: value:
    if condition
    then [value]
    else [];
  optionals = condition: list:
    if condition
    then list
    else [];
  optionalAttrs = condition: set:
    if condition
    then set
    else {};
  optionalString = condition: text:
    if condition
    then text
    else "";

  flatten = value:
    if isList value
    then concatMap flatten value
    else [value];
  # The first occurrence of each element stays where it is.
  unique = foldl' (seen: value:
    if builtins.elem value seen
    then seen
    else seen ++ [value]) [];

  nameValuePair = name: value: {inherit name value;};
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
  filterAttrs = keep: set: removeAttrs set (filter (name: !keep name set.${name}) (attrNames set));

  # { a.b = 1; } from [ "a" "b" ] and 1.
  nest = path: value: builtins.foldl' (inner: name: {${name} = inner;}) value (reverse path);
  reverse = foldl' (done: value: [value] ++ done) [];

  # Two sets merged at every depth. Where both hold something else, the right one wins.
  overlay = left: right:
    left
    // builtins.mapAttrs
    (name: value:
      if builtins.isAttrs value && builtins.isAttrs (left.${name} or null)
      then overlay left.${name} value
      else value)
    right;

  any = builtins.any;
  removePrefix = prefix: text:
    if hasPrefix prefix text
    then substring (stringLength prefix) (-1) text
    else text;
  removeSuffix = suffix: text: let
    kept = stringLength text - stringLength suffix;
  in
    if kept >= 0 && substring kept (-1) text == suffix
    then substring 0 kept text
    else text;
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;

  # An option path as one writes it: services."my app".ports[2]
  showOption = path: let
    one = part:
      if isInt part
      then "[${toString part}]"
      else if match "[A-Za-z_][A-Za-z0-9_'-]*" part != null
      then ".${part}"
      else ".${toJSON part}";
    text = concatStringsSep "" (map one path);
  in
    if hasPrefix "." text
    then substring 1 (-1) text
    else text;

  # A value in a message: short, and never evaluated more deeply than needed.
  showValue = value:
    {
      set = "a set";
      list = "a list";
      lambda = "a function";
      null = "null";
      string = "the string ${toJSON (substring 0 60 value)}";
      path = "the path ${toString value}";
      bool =
        if value
        then "true"
        else "false";
    }.${
      typeOf value
    } or "the number ${toString value}";
}
