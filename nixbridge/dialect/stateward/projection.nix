# What is read of `stateward`: the contract of services, what their backups have in common, and the findings that
# the configuration accepts. docs/contract.md describes both, contract.nix their shapes.
{ probe, contract }:
{ config, options }:
let
  inherit (builtins) isAttrs;
  inherit (probe) attrsOf via;
in
{
  detected = config ? stateward;

  sections = {
    "stateward" = via (v: if isAttrs v then removeAttrs v [ "services" "backup" "acknowledge" ] else v) (contract.closed { });
    "stateward.backup" = contract.backup;
    "stateward.services" = attrsOf contract.service;
    "stateward.acknowledge" = contract.acknowledgements;
  };
}
