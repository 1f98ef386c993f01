{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    services.postgresql = {
      enable = true;
      dataDir = "/var/lib/postgresql/17";
      settings = {
        archive_mode = "on";
        archive_command = "/run/current-system/sw/bin/pgbackrest --stanza=default archive-push \"%p\"";
        archive_timeout = 300;
      };
    };
    services.pgbackrest = {
      enable = true;
      repos.localhost = {
        path = "/backup/pgbackrest";
        host = null;
        retention-full = 4;
      };
      stanzas.default = {
        instances.localhost = {
          path = "/var/lib/postgresql/17";
          user = "postgres";
          host = null;
        };
        jobs.weekly = {
          schedule = "Sun 03:00";
          type = "full";
        };
        jobs.daily = {
          schedule = "Mon..Sat 03:00";
          type = "diff";
        };
      };
    };
    systemd.services.pgbackrest-default-weekly.serviceConfig.Type = "oneshot";
    systemd.timers.pgbackrest-default-weekly.timerConfig.OnCalendar = "Sun 03:00";
    systemd.services.pgbackrest-default-daily.serviceConfig.Type = "oneshot";
    systemd.timers.pgbackrest-default-daily.timerConfig.OnCalendar = "Mon..Sat 03:00";
  };
}
