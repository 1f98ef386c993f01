{
  config = {
    fileSystems."/" = {
      device = "tmpfs";
      fsType = "tmpfs";
    };
    fileSystems."/persist" = {
      device = "rpool/safe/persist";
      fsType = "zfs";
      neededForBoot = true;
    };
    services.sanoid = {
      enable = true;
      interval = "hourly";
      templates.services = {
        hourly = 24;
        daily = 7;
        monthly = 0;
        autosnap = true;
        autoprune = true;
      };
      datasets."rpool/safe" = {
        use_template = ["services"];
        recursive = true;
      };
    };
  };
}
