{
  config.deployment.targetHost = "forge.example";
  config.fileSystems."/" = {
    device = "/dev/disk/by-label/root";
    fsType = "ext4";
  };
}
