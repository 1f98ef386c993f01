{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    systemd.services.preseed-paperless = {
      before = ["paperless.service"];
      serviceConfig.Type = "oneshot";
      serviceConfig.ExecStart = "/run/current-system/sw/bin/restore";
    };
    systemd.services.paperless = {
      requires = [];
      after = [];
      unitConfig = {
        Requires = ["preseed-paperless.service"];
        After = ["preseed-paperless.service"];
      };
    };
  };
}
