{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    services.syncoid = {
      enable = true;
      interval = "daily";
      commands."rpool/root" = {
        target = "usb/copy";
        sendOptions = "pw";
        recvOptions = "u x mountpoint";
      };
    };
  };
}
