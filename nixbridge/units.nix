# What the host's units are. Instantiating their derivations is the expensive part, so it is a section of its own:
# where it fails as a whole, the texts are still there.
{probe}: {
  config,
  options,
}:
with probe; let
  patterns = [];
  wanted = n: patterns == [] || builtins.any (p: builtins.match p n != null) patterns;
  some = us: removeAttrs us (builtins.filter (n: !(wanted n)) (builtins.attrNames us));
in {
  detected = true;
  sections = {
    "systemd.units" = via some (attrsOf (fields {
      enable = any;
      text = text;
      overrideStrategy = any;
    }));
    "derivations" = option ["systemd" "units"] (via some (attrsOf (via
      (u: u.unit.drvPath or (throw "what makes the unit is no derivation"))
      text)));
    "systemd.packages" = listOf (via
      (p:
        if builtins.isAttrs p && p ? name
        then p.name
        else baseNameOf (builtins.unsafeDiscardStringContext (toString p)))
      text);
  };
}
