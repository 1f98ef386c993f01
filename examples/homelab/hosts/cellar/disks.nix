# Root is memory: it is gone when the power is.
{
  fileSystems = {
    "/" = {
      fsType = "tmpfs";
      options = ["size=2G" "mode=755"];
    };
    "/boot" = {
      device = "/dev/disk/by-label/boot";
      fsType = "vfat";
    };
    "/nix" = {
      device = "/dev/disk/by-label/nix";
      fsType = "ext4";
    };
    "/persist" = {
      device = "/dev/disk/by-label/persist";
      fsType = "ext4";
      neededForBoot = true;
    };
  };
}
