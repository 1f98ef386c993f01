# The options of options.json, as the module system has them, and what is wrong with values that their types let pass.
{lib}: let
  inherit (builtins) attrNames concatMap elem elemAt filter fromJSON genList isAttrs isList isString length listToAttrs match readFile split toJSON;
  inherit (lib) mkOption types;

  table = fromJSON (readFile ../../nixbridge/dialect/stateward/options.json);

  # The fields of a set: its own, and those that it has in common with others.
  fieldsOf = field: (field.fields or []) ++ (table.groups.${field.group or ""} or []);

  # --- types ---------------------------------------------------------------
  sets = field:
    types.submodule {options = optionsOf (fieldsOf field);};
  # A text stands for a set that has it as its one attribute.
  texted = field:
    if field ? text
    then types.coercedTo types.str (text: {${field.text} = text;}) (sets field)
    else sets field;
  # Lists in lists are one list, and what stands alone is one of one.
  texts = types.coercedTo (types.either types.str (types.listOf types.raw)) lib.flatten (types.listOf types.str);
  scalar = types.oneOf [types.str types.int types.bool];

  ofType = field:
    {
      inherit (types) bool int port;
      number = types.ints.unsigned;
      count = types.ints.positive;
      text = types.str;
      script = types.lines;
      inherit scalar texts;
      amount = types.either types.str types.int;
      command = types.either types.str (types.listOf types.str);
      file = types.path;
      inherit (types) package;
      path = types.str;
      place = types.str;
      places = texts;
      span = types.str;
      spans = types.either types.str (types.attrsOf (types.nullOr types.str));
      mode = types.str;
      owner = types.str;
      name = types.str;
      scalars = types.attrsOf (types.nullOr scalar);
      set = sets field;
      # One set is a list of one, as the reader has it.
      list = types.coercedTo (types.attrsOf types.raw) (one: [one]) (types.listOf (texted field));
      attrs = types.attrsOf (sets field);
    }
    .${
      field.type
    };

  # A type is called the same by every lib.
  typeText = field: let
    values = lib.concatStringsSep ", " (map toJSON (field.values or []));
    text =
      table.types.${field.type}.description
      + (
        if field ? values
        then ": of ${values}"
        else ""
      );
  in
    if field ? default
    then text
    else "null or ${text}";

  # The module system makes a type with sub-options anew.
  described = text: type:
    type
    // {
      description = text;
      ${
        if type ? substSubModules
        then "substSubModules"
        else null
      } = modules:
        described text (type.substSubModules modules);
    };

  option = field: let
    type = ofType field;
  in
    mkOption {
      # What is left out is not stated, and never taken for no.
      default = field.default or null;
      type =
        described (typeText field)
        (
          if field ? default
          then type
          else types.nullOr type
        );
      description =
        field.description
        + (
          if field.reserved or false
          then " Reserved: it may be set, and is not used yet."
          else ""
        );
      ${
        if field ? example
        then "example"
        else null
      } =
        lib.literalExpression field.example;
    };

  optionsOf = fields:
    listToAttrs (map (field: {
        inherit (field) name;
        value =
          if field.type == "group"
          then optionsOf (fieldsOf field)
          else option field;
      })
      fields);

  # --- faults --------------------------------------------------------------
  # { path; problem; field } of each value that has the right type and cannot be meant.
  fault = path: problem: field: [{inherit path problem field;}];

  at = path: name:
    if match "[A-Za-z_][A-Za-z0-9_'-]*" name != null
    then "${path}.${name}"
    else "${path}.${toJSON name}";

  numbered = path: list: f: concatMap (i: f "${path}[${toString i}]" (elemAt list i)) (genList (i: i) (length list));

  climbs = text: elem ".." (filter isString (split "/" text));

  ofText = field: type: path: text:
    if text == ""
    then lib.optionals (!(type.empty or field.empty or false)) (fault path "is empty" field)
    else if field ? values && !elem text field.values
    then fault path "is ${toJSON text}, none of ${lib.concatStringsSep ", " field.values}" field
    else if match (field.pattern or type.pattern or ".*") text == null && (field ? pattern || type ? pattern) || type ? without && climbs text
    then fault path "is ${toJSON text}, which ${field.fault or type.fault}" field
    else [];

  ofField = field: path: value: let
    declared = table.types.${field.type};
    type = table.types.${declared.like or field.type};
  in
    if isString value
    then ofText (removeAttrs field (lib.optional (field.type == "spans") "values")) type path value
    else if field.type == "set"
    then ofSet (fieldsOf field) path value
    else if field.type == "list"
    then numbered path value (ofSet (fieldsOf field))
    else if isList value
    then
      (
        if value == [] && field.filled or false
        then fault path "is empty" field
        else []
      )
      ++ numbered path value (
        at: text:
          if isString text
          then ofText field type at text
          else []
      )
    else if field.type == "spans"
    then
      concatMap (name:
        (
          if elem name field.values
          then []
          else fault (at path name) "names none of ${lib.concatStringsSep ", " field.values}" field
        )
        ++ (
          if value.${name} == null
          then []
          else ofText (removeAttrs field ["values"]) type (at path name) value.${name}
        )) (attrNames value)
    else [];

  ofSet = fields: path: set:
    concatMap (field: let
      value = set.${field.name};
      missing = value == null || value == "" || value == [];
    in
      if field.required or false && missing
      then fault path "has no ${field.name}" field
      else if value == null || field.off or false && value.enable == false
      then []
      else ofField field (at path field.name) value)
    fields;

  # What is wrong with the sets by name at an option. One that is off needs no value.
  ofAttrs = field: path: sets:
    concatMap (name: let
      one = sets.${name};
    in
      if field.off or false && one.enable == false
      then []
      else
        (
          if field ? names && match table.types.${field.names}.pattern name == null
          then fault (at path name) "has a name that ${table.types.${field.names}.fault}" field
          else []
        )
        ++ ofSet (fieldsOf field) (at path name) one)
    (attrNames sets);

  # The text of an assertion that does not hold.
  message = {
    path,
    problem,
    field,
  }:
    "${path} ${problem}.\n  ${field.description}"
    + (
      if field ? example
      then "\n  Example: ${field.name} = ${field.example};"
      else ""
    );
in {
  inherit table fault message ofField ofAttrs ofSet fieldsOf at;
  # By the names of `table.options`.
  options = optionsOf table.options;
  byName = listToAttrs (map (field: {
      inherit (field) name;
      value = field;
    })
    table.options);
}
