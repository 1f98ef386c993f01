# What is read of `stateward`: the contract of services, what their backups have in common, how PostgreSQL is archived, and the findings that
# the configuration accepts. docs/contract.md describes both, contract.nix their shapes.
{
  probe,
  contract,
}: {
  config,
  options,
}: let
  inherit (builtins) isAttrs;
  inherit (probe) anyTo attrsOf fields text via;
  # What our NixOS module does of itself, and says of no service.
  own = ["persistence" "plan" "package" "guard"];
in {
  detected = config ? stateward;

  sections = {
    "stateward" = via (v:
      if isAttrs v
      then removeAttrs v (["services" "backup" "pitr" "acknowledge"] ++ own)
      else v) (contract.closed {});
    "stateward.backup" = contract.backup;
    "stateward.pitr" = contract.pitr;
    # The file of the plan that is wired. Of one that is not there our module wires nothing, and the plan is yet to be written.
    "stateward.plan" = via (v:
      if v == null
      then null
      else if builtins.pathExists v
      then builtins.readFile v
      else "")
    text;
    "stateward.guard" = fields {enable = anyTo 2;};
    "stateward.services" = attrsOf contract.service;
    "stateward.acknowledge" = contract.acknowledgements;
  };
}
