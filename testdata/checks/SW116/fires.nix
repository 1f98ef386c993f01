{
  config = {
    fileSystems."/" = {
      device = "rpool/local/root";
      fsType = "zfs";
    };
    boot.initrd = {
      systemd.enable = true;
      postDeviceCommands = "zfs rollback -r rpool/local/root@blank";
    };
  };
}
