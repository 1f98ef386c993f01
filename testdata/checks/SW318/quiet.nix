{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    systemd.services.restic-check-nas.serviceConfig.Type = "oneshot";
    systemd.timers.restic-check-nas.timerConfig = {
      OnCalendar = "weekly";
      Persistent = true;
    };
  };
}
