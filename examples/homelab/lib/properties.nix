# Wrappers round a definition: under a condition, several at once, with a priority
# (which definition wins) or an order (where it stands in a list).
let
  inherit (builtins) all concatMap filter foldl' isAttrs isBool sort;

  usualPriority = 100;
  usualOrder = 1000;
in rec {
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };

  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  # The smaller number wins.
  mkForce = mkOverride 50;
  mkDefault = mkOverride 1000;
  mkOptionDefault = mkOverride 1500;

  mkOrder = order: content: {
    _type = "order";
    inherit order content;
  };
  # The smaller number comes first.
  mkBefore = mkOrder 500;
  mkAfter = mkOrder 1500;

  # Which wrapper a value is, "" for none.
  wrapper = value:
    if isAttrs value
    then value._type or ""
    else "";

  # The definitions of one option, without wrappers: those whose condition holds, of
  # these the ones with the strongest priority, in their order.
  settle = defs: let
    unwrap = def: let
      inner = value: unwrap (def // {inherit value;});
    in
      {
        "if" =
          if holds def
          then inner def.value.content
          else [];
        merge = concatMap inner def.value.contents;
        override = unwrap (def
          // {
            inherit (def.value) priority;
            value = def.value.content;
          });
        order = unwrap (def
          // {
            inherit (def.value) order;
            value = def.value.content;
          });
      }.${
        wrapper def.value
      } or [
        def
      ];
    holds = def:
      if isBool def.value.condition
      then def.value.condition
      else throw "the condition of a mkIf in ${def.file} is neither true nor false";
    every = concatMap (def:
      unwrap ({
          priority = usualPriority;
          order = usualOrder;
        }
        // def))
    defs;
    strongest =
      foldl' (least: def:
        if def.priority < least
        then def.priority
        else least)
      9999
      every;
    winners = filter (def: def.priority == strongest) every;
    inOrder =
      if all (def: def.order == usualOrder) winners
      then winners
      else sort (a: b: a.order < b.order) winners;
  in
    map (def: {inherit (def) file value;}) inOrder;

  # The same definition, one level down: mkIf c { a = 1; } says as much as
  # { a = mkIf c 1; }, and its names can be read without knowing c.
  spread = def: let
    again = wrap: content:
      map (d: d // {value = builtins.mapAttrs (_: wrap) d.value;})
      (spread (def // {value = content;}));
  in
    {
      "if" = again (mkIf def.value.condition) def.value.content;
      merge = concatMap (value: spread (def // {inherit value;})) def.value.contents;
      override = again (mkOverride def.value.priority) def.value.content;
      order = again (mkOrder def.value.order) def.value.content;
    }.${
      wrapper def.value
    } or [
      def
    ];
}
