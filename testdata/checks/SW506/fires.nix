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
      };
      stanzas.default = {
        instances.localhost = {
          path = "/var/lib/postgresql/17";
          user = "postgres";
          host = null;
        };
        jobs.daily = {
          schedule = "Mon..Sat 03:00";
          type = "diff";
        };
      };
    };
    systemd.services.pgbackrest-default-daily.serviceConfig.Type = "oneshot";
    systemd.timers.pgbackrest-default-daily.timerConfig.OnCalendar = "Mon..Sat 03:00";
  };
}
