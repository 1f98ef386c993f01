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
        archive_command = "/run/current-system/sw/bin/pgbackrest --stanza=main archive-push %p";
        archive_timeout = 300;
      };
    };
    environment.etc."pgbackrest/pgbackrest.conf".text = ''
      [global]
      repo1-path=/backup/pgbackrest
      repo1-retention-full=2

      [main]
      pg1-path=/var/lib/postgresql/17
    '';
    systemd.services.pgbackrest-full.serviceConfig.Type = "oneshot";
    systemd.timers.pgbackrest-full.timerConfig.OnCalendar = "weekly";
  };
}
