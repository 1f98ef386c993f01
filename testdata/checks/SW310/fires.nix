{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    services.sanoid = {
      enable = true;
      interval = "hourly";
      templates.services = {
        hourly = 24;
        daily = 7;
        monthly = 0;
      };
      datasets."rpool" = {
        use_template = ["services"];
        recursive = "zfs";
      };
      datasets."rpool/root" = {
        use_template = ["services"];
        weekly = 4;
      };
    };
  };
}
