{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    services.sanoid = {
      enable = true;
      interval = "hourly";
      datasets."rpool/root" = {
        hourly = 12;
        daily = 0;
        monthly = 0;
      };
    };
    services.syncoid = {
      enable = true;
      interval = "daily";
      commands."rpool/root" = {
        target = "backup@nas:pool/forge";
        extraArgs = ["--no-sync-snap"];
      };
    };
  };
}
