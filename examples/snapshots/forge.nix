# One host, as it evaluates: what sanoid keeps, and what syncoid sends.
{
  config = {
    networking.hostName = "forge";
    services.sanoid = {
      enable = true;
      interval = "hourly";
      templates.services = {
        hourly = 24;
        daily = 7;
        monthly = 0;
        yearly = 0;
        autosnap = true;
        autoprune = true;
      };
      datasets."tank/services/paperless" = {
        use_template = ["services"];
        recursive = false;
      };
      datasets."tank/services/photos" = {
        hourly = 12;
        daily = 0;
        monthly = 0;
        recursive = false;
      };
      datasets."rpool/home" = {
        hourly = 48;
        recursive = true;
      };
    };
    services.syncoid = {
      enable = true;
      interval = "daily";
      commands."tank/services/paperless" = {
        target = "backup@nas:tank/backup/forge/paperless";
        extraArgs = ["--no-rollback" "--no-sync-snap" "--create-bookmark"];
        recvOptions = "u o canmount=noauto o readonly=on";
      };
      commands."tank/services/photos" = {
        target = "backup@nas:tank/backup/forge/photos";
        extraArgs = ["--no-rollback" "--no-sync-snap"];
        recvOptions = "u o canmount=noauto o readonly=on";
      };
    };
    systemd.services = {};
  };
}
