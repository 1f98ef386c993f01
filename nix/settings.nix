# What evaluating and checking need to know of a stateward.toml; the command itself reads all of it.
{
  self,
  config ? null,
}: let
  inherit (builtins) any elemAt filter fromTOML genList isString length match pathExists readFile split;

  beside = "${self}/stateward.toml";
  file =
    if config == false
    then null
    else if config != null
    then config
    else if pathExists beside
    then beside
    else null;
  text = builtins.unsafeDiscardStringContext (readFile file);

  # builtins.fromTOML knows no dates: one that stands outside of quotes gets some.
  lines = filter isString (split "\n" text);
  quoted = line: let
    parts = match "([^#]*=[[:space:]]*)([0-9]{4}-[0-9]{2}-[0-9]{2})(.*)" line;
    quotes = length (filter isString (split "[\"']" (elemAt parts 0))) - 1;
    even = n: n == 0 || n > 1 && even (n - 2);
  in
    if parts == null || !(even quotes)
    then line
    else "${elemAt parts 0}\"${elemAt parts 1}\"${quoted (elemAt parts 2)}";
  values = fromTOML (builtins.concatStringsSep "\n" (map quoted lines));

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
