{
  # Neither a NixOS host nor anything else that is known.
  config.deployment.targetHost = "forge.example";
}
