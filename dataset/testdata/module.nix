# Written by `stateward dataset plan -o nix`. A change is carried out by a reload, since a restart would stop the services.
{
  config,
  pkgs,
  ...
}: let
  stateward-datasets = pkgs.writeShellScript "stateward-datasets" ''
    #!/usr/bin/env bash
    # Written by stateward for the datasets of forge. A second run changes nothing.
    pools=(tank)
    mount_properties='mountpoint canmount sharenfs sharesmb zoned''\'
    not_inherited='canmount''\'
    # shellcheck disable=SC1003,SC1111,SC1112,SC2016,SC2088 # no value is meant to be expanded
    declared() {
      dataset own tank/db app ''\'''\' 0750
      property com.example:note "''\'''\'\''${x} '\$(id)'"
      property mountpoint legacy
      dataset own tank/late app ''\'''\' 0750
      property com.example:note "''\'''\'\''${x} '\$(id)'"
      property mountpoint legacy
      dataset own tank/lost app ''\'''\' 0750
      property com.example:note "''\'''\'\''${x} '\$(id)'"
      property mountpoint /srv/lost
      dataset container tank/services
      property canmount off
      property mountpoint none
      dataset own tank/services/plex app ''\'''\' 0750
      property com.example:note "''\'''\'\''${x} '\$(id)'"
      property mountpoint '/srv/100% ours;#''\'
      dataset own tank/services/sonarr app ''\'''\' 0750
      property com.example:note "''\'''\'\''${x} '\$(id)'"
      property mountpoint /var/lib/sonarr
    }
    …
  '';
in {
  systemd.services = {
    stateward-datasets = {
      description = "ZFS datasets as declared for forge";
      wantedBy = [
        "multi-user.target"
      ];
      wants = [
        "zfs-import.target"
      ];
      after = [
        "local-fs.target"
        "zfs-import.target"
        "zfs-mount.service"
        "systemd-sysusers.service"
        "userborn.service"
      ];
      path = [
        config.boot.zfs.package
      ];
      reloadIfChanged = true;
      serviceConfig = {
        Type = "oneshot";
        TimeoutStartSec = "15min";
        RemainAfterExit = true;
        ExecStart = "${stateward-datasets}";
        ExecReload = "${stateward-datasets}";
      };
    };
    "stateward-dataset@" = {
      description = "ZFS dataset %I as declared";
      wants = [
        "stateward-datasets.service"
      ];
      after = [
        "stateward-datasets.service"
      ];
      path = [
        config.boot.zfs.package
      ];
      serviceConfig = {
        Type = "oneshot";
        TimeoutStartSec = "15min";
        ExecStart = "${stateward-datasets} %I";
      };
    };
    "db@main" = {
      requires = [
        "stateward-dataset@tank-db.service"
      ];
      after = [
        "stateward-datasets.service"
        "stateward-dataset@tank-db.service"
      ];
      unitConfig = {
        AssertPathIsMountPoint = [
          "/var/lib/db 1"
        ];
        RequiresMountsFor = [
          "\"/var/lib/db 1\""
        ];
      };
    };
    exporter = {
      requires = [
        "stateward-dataset@tank-services-sonarr.service"
      ];
      after = [
        "stateward-datasets.service"
        "stateward-dataset@tank-services-sonarr.service"
      ];
      unitConfig = {
        AssertPathIsMountPoint = [
          "/var/lib/sonarr"
        ];
      };
    };
    podman-plex = {
      requires = [
        "stateward-dataset@tank-services-plex.service"
      ];
      after = [
        "stateward-datasets.service"
        "stateward-dataset@tank-services-plex.service"
      ];
      unitConfig = {
        AssertPathIsMountPoint = [
          "/srv/100%% ours;#"
        ];
      };
    };
    podman-sonarr = {
      requires = [
        "stateward-dataset@tank-services-sonarr.service"
      ];
      after = [
        "stateward-datasets.service"
        "stateward-dataset@tank-services-sonarr.service"
      ];
      unitConfig = {
        AssertPathIsMountPoint = [
          "/var/lib/sonarr"
        ];
      };
    };
  };
  systemd.tmpfiles.rules = [
    "z \"/var/lib/db 1\" 0750 app - - -"
  ];
}
