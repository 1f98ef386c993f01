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
        target = "usb/root";
        recursive = true;
        sendOptions = "w";
      };
      commands."rpool/root/home" = {
        target = "usb/root/home";
        sendOptions = "w";
      };
    };
  };
}
