# What is read of a dialect that a user wrote: the function `own` maps a host to the contract of services.
# Every name of ours stands outside of the user's text, so that it sees none of them. `name` is what the dialect is called, `hash` tells its text from others.
{
  probe,
  contract,
  name,
  hash,
}: own: {
  config,
  options,
}: let
  inherit (builtins) attrNames filter functionArgs intersectAttrs isAttrs isBool isFunction isList isString mapAttrs split typeOf;
  inherit (probe) attrsOf lines value valueAs valueAt;

  given = {
    inherit config options;
    inherit (probe) lib;
  };
  wants = functionArgs own;
  # One that names its arguments gets those, be there an ellipsis or not.
  said = own (
    if wants == {}
    then given
    else intersectAttrs wants given
  );
  is = {
    set = "a set";
    list = "a list";
    lambda = "a function";
    string = "a text";
    int = "a number";
    float = "a number";
    bool = "a Boolean";
    path = "a path";
    null = "null";
  };
  result =
    if !(isFunction own)
    then throw "the file holds ${is.${typeOf own}}, not a function { config, options, lib, ... }: { services = …; }"
    else if isAttrs said
    then said
    else throw "the function returns ${is.${typeOf said}}, not a set with services";

  fields = ["services" "acknowledge" "detected"];
  others = removeAttrs result fields;
  filled = v:
    if isAttrs v
    then attrNames v != []
    else v != null;
  detected = result.detected or (filled (result.services or null) || (result.acknowledge or []) != []);

  # Where findings shall point, as the names of an option path; null where that is not said.
  place = s: let
    o = s.option or null;
  in
    if isList o
    then builtins.deepSeq o o
    else if isString o && split "\"" o == [o]
    then filter isString (split "\\." o)
    else null;
  services = result.services or {};
in {
  # A field that is not known is told, whatever else is said.
  detected =
    if others != {}
    then true
    else if isBool detected
    then detected
    else throw "detected is ${is.${typeOf detected}}, not true or false";

  sections = {
    ${name} = valueAs (contract.closed {}) others;
    "${name}.services" =
      valueAt (attrsOf (contract.serviceWith {option = lines;})) services
      (
        if isAttrs services
        then mapAttrs (_: place) services
        else {}
      );
    "${name}.acknowledge" = valueAs contract.acknowledgements (result.acknowledge or null);
    "text-${hash}" = value true;
  };
}
