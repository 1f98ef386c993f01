# What evaluating and checking need to know of a stateward.toml; the command itself reads all of it.
{
  self,
  config ? null,
}: let
  inherit (builtins) any concatStringsSep fromTOML isString pathExists readFile split;

  beside = "${self}/stateward.toml";
  file =
    if config == false
    then null
    else if config != null
    then
      if builtins.isString config && builtins.substring 0 1 config != "/"
      then throw "stateward: config is ${builtins.toJSON config}, a text: write the path of the file, without quotes"
      else config
    else if pathExists beside
    then beside
    else null;
  text = builtins.unsafeDiscardStringContext (readFile file);

  # builtins.fromTOML knows no dates: one becomes a number, which may stand wherever a date may, within quotes and in comments too.
  undated = map (part:
    if isString part
    then part
    else concatStringsSep "" part) (split "(=[[:space:]]*[0-9]{4})-([0-9]{2})-([0-9]{2})" text);
  values = fromTOML (concatStringsSep "" undated);

  folder =
    if builtins.isPath file
    then dirOf file
    else builtins.dirOf "${file}";
  place = name:
    if builtins.substring 0 1 name == "/"
    then name
    else folder + "/${name}";
in
  if file == null
  then {
    text = null;
    dialects = [];
    state = [];
    dated = false;
  }
  else {
    inherit text;
    dialects = map place (values.dialects or []);
    state = values.state or [];
    # Whether what is accepted is accepted up to a day.
    dated = any (a: a ? until) (values.acknowledge or []);
  }
