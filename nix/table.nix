# The projection of a table of state, such as nixbridge/dialect/table/table.json or the rows of [[state]] in a
# stateward.toml: what nixbridge/dialect/table/project.go writes, of the same shapes. A test compares the two.
rows: let
  inherit
    (builtins)
    any
    attrNames
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    genList
    groupBy
    hashString
    head
    isString
    length
    listToAttrs
    map
    mapAttrs
    split
    substring
    tail
    ;

  path = option:
    if option == ""
    then []
    else filter isString (split "\\." option);
  take = n: list: genList (elemAt list) n;
  drop = n: list: genList (i: elemAt list (n + i)) (length list - n);
  name = concatStringsSep ".";
  set = names:
    listToAttrs (map (name: {
        inherit name;
        value = true;
      })
      names);
  # Where "*" stands, each time; nothing where it does not.
  stars = list: filter (i: elemAt list i == "*") (genList (i: i) (length list));
  text = list: "[ ${concatStringsSep "" (map (n: "\"${n}\" ") list)}]";

  read =
    map (r: {
      enable = path (r.enable or "");
      unless = path (r.unless or "");
      option = path (r.option or "");
    })
    rows;

  # One section for what has a prefix in common. Definitions are located two levels below it.
  sectionOf = list: let
    at = filter (i: i > 0) (stars list);
    most = length list - 2;
  in
    name (take (
        if at != []
        then head at
        else if most > 1
        then most
        else 1
      )
      list);
  sections = set (concatMap (r: map sectionOf (filter (o: o != []) [r.enable r.unless r.option])) read);
  # The nearest section above an option, and what is left of its path.
  within = list: let
    find = n:
      if sections ? ${name (take n list)}
      then {
        section = name (take n list);
        path = drop n list;
      }
      else find (n - 1);
  in
    find (length list);

  # What is read at the places of a section: a switch, a value, or what is left out of an item.
  entries = concatMap (r: let
    last = foldl' (_: i: i) (-1) (stars r.enable);
    star = stars r.option;
    item =
      if last >= 0
      then last
      else head star;
    leaf = within r.option;
    above = leaf // {path = take (length leaf.path - (length r.option - item - 1)) leaf.path;};
  in
    map within (filter (o: o != []) [r.enable r.unless])
    ++ (
      if r.option == []
      then []
      else
        [
          (leaf
            // {
              value = true;
              gate =
                if r.enable != [] && last < 0
                then r.enable
                else null;
            })
        ]
        ++ (
          if star == []
          then []
          else [
            (above
              // {
                cut = {
                  at = drop (item + 1) r.option;
                  on =
                    if last >= 0
                    then drop (item + 1) r.enable
                    else null;
                };
              })
          ]
        )
    ))
  read;

  # What is there once, by its text, in the order of texts.
  byText = of: list: let
    all = listToAttrs (map (x: {
        name = text (of x);
        value = x;
      })
      list);
  in
    map (n: all.${n}) (attrNames all);

  # A shape as text and as the value that the text stands for, given shapes.nix.
  node = es: let
    here = filter (e: e.path == []) es;
    below = mapAttrs (_: map (e: e // {path = tail e.path;})) (groupBy (e: head e.path) (filter (e: e.path != []) es));
    names = attrNames below;
    values = filter (e: e ? value) here;
    gates = byText (g: g) (map (e: e.gate) values);
  in
    if names == ["*"]
    then let
      each = item below."*";
    in {
      text = "a ${each.text}";
      shape = t: t.a (each.shape t);
    }
    else if names != []
    then let
      nodes = mapAttrs (_: node) below;
    in {
      text = "f { ${concatStringsSep "" (map (n: "${n} = ${nodes.${n}.text}; ") names)}}";
      shape = t: t.f (mapAttrs (_: n: n.shape t) nodes);
    }
    else if values != [] && !(any (e: e.gate == null) values)
    then {
      text = "g [ ${concatStringsSep " " (map text gates)} ]";
      shape = t: t.g gates;
    }
    else if values != []
    then {
      text = "l";
      shape = t: t.l;
    }
    else {
      text = "e";
      shape = t: t.e;
    };

  # What is read of each attribute of a set.
  item = es: let
    whole = node (filter (e: !(e ? cut && e.path == [])) es);
    cuts = map (e: e.cut) (filter (e: e ? cut && e.path == []) es);
    open = map (c: c.at) (filter (c: c.on == null) cuts);
    gates = map (c: {
      inherit (c) at;
      on = byText (o: o) (map (o: o.on) (filter (o: o.at == c.at) cuts));
    }) (byText (c: c.at) (filter (c: !(elem c.at open)) cuts));
  in
    if gates == []
    then {
      text = "(${whole.text})";
      shape = whole.shape;
    }
    else {
      text = "(w [ ${concatStringsSep " " (map (g: "{ at = ${text g.at}; on = [ ${concatStringsSep " " (map text g.on)} ]; }") gates)} ] (${whole.text}))";
      shape = t: t.w gates (whole.shape t);
    };

  nodes = mapAttrs (section: _: node (map (e: removeAttrs e ["section"]) (filter (e: e.section == section) entries))) sections;
  # A saved evaluation that has read other options lacks the section of this name, and is refused.
  written = concatStringsSep "" (map (n: "    \"${n}\" = ${nodes.${n}.text};\n") (attrNames sections));
  mark = "rows-${substring 0 12 (hashString "sha256" written)}";
in {
  inherit written;

  projection = {probe}: args: let
    shapes = import ../nixbridge/dialect/table/shapes.nix {inherit probe;} args;
  in {
    detected = any (n: args.config ? ${head (path n)}) (attrNames sections);
    sections = mapAttrs (_: n: n.shape shapes) nodes // {${mark} = probe.value true;};
  };
}
