# The shapes of a table's projection, which reads the options that its rows name, each by itself.
{probe}: {
  config,
  options,
}: let
  inherit (builtins) any attrNames foldl' head isAttrs isList mapAttrs tail tryEval;

  # What cannot be had may be on.
  holds = test: let
    r = tryEval test;
  in
    !r.success || r.value;
  # An option that was removed or renamed is not there: its value throws, or is another's.
  hidden = o: let
    r = tryEval (isAttrs o && o._type or null == "option" && o.visible or true == false);
  in
    r.success && r.value;
  below = o: n:
    if isAttrs o && o._type or null != "option" && o ? ${n}
    then o.${n}
    else null;
  at = o: v: path:
    if hidden o
    then null
    else if path == []
    then v
    else if isAttrs v && v ? ${head path}
    then at (below o (head path)) v.${head path} (tail path)
    else null;
  on = v:
    if isAttrs v
    then attrNames v != []
    else if isList v
    then v != []
    else v;
  # Each of a set may be off by itself.
  cut = path: v:
    if path == []
    then null
    else if !(isAttrs v)
    then v
    else if head path == "*"
    then mapAttrs (_: cut (tail path)) v
    else if v ? ${head path}
    then v // {${head path} = cut (tail path) v.${head path};}
    else v;
in rec {
  f = probe.fields;
  a = probe.attrsOf;
  # An option that holds places.
  l = probe.text;
  # One that switches a service on.
  e = probe.via on l;
  # The same, of a service that may be off and then need not have a value.
  g = paths:
    probe.via (v:
      if any (p: holds (on (at options config p) == true)) paths
      then v
      else null)
    l;
  # Items of a set, of which each may be off and then need not have some of its values.
  w = gates: s:
    probe.via (v:
      foldl' (v: x:
        if any (p: holds (on (at null v p) == true)) x.on
        then v
        else cut x.at v)
      v
      gates)
    s
    // {inherit (s) below;};
}
