# The NixOS module of stateward: the contract of services as options, and what follows from it.
{
  imports = [
    ./services.nix
    ./persistence.nix
    ./plan.nix
    ./guard.nix
  ];
}
