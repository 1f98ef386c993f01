{
  config = {
    fileSystems."/" = {
      device = "rpool/local/root";
      fsType = "zfs";
    };
    boot.initrd = {
      systemd.enable = true;
      # A hook that wipes nothing, and one for the other kind of initial ramdisk.
      preLVMCommands = "modprobe loop; /nix/store/prepare-keyboard";
      postDeviceCommands = "zfs rollback -r rpool/local/root@blank";
      systemd.services.rollback.script = "zfs rollback -r rpool/local/root@blank";
    };
  };
}
