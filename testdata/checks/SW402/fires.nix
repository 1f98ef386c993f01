{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    systemd.services.preseed-paperless = {
      before = ["paperless.service"];
      serviceConfig.Type = "oneshot";
      wantedBy = ["multi-user.target"];
    };
    systemd.services.paperless = {
      requires = ["preseed-paperless.service"];
      after = ["preseed-paperless.service"];
    };
  };
}
