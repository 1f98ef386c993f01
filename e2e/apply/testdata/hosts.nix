# What the end-to-end tests of `stateward dataset apply` declare, a host for each case. hosts.json is what this evaluates to, since
# there is no nix where they run; a test of internal/cli tells when it is stale.
let
  service = name: dataset: {
    ${name} = {
      enable = true;
      unit = name;
      inherit dataset;
    };
  };
  host = services: {config.stateward.services = builtins.foldl' (a: b: a // b) {} services;};
  sonarr = more:
    service "sonarr" ({
        name = "tank/services/sonarr";
        mountpoint = "/srv/sonarr";
        properties = {
          recordsize = "16K";
          compression = "zstd";
        };
        owner = "568";
        group = "media";
        mode = "0750";
      }
      // more);
  kinds = properties:
    service "kinds" {
      name = "tank/kinds";
      mountpoint = "/srv/kinds";
      inherit properties;
    };
  odd = [
    (service "blank" {
      name = "tank/odd/blank";
      mountpoint = "/srv/a b'\"$(touch pwned)/-c";
      owner = "568";
    })
    (service "quotes" {
      name = "tank/odd/quotes";
      mountpoint = "none";
      properties."org.example:note" = "it's \"$(touch /pwned)\" `touch /pwned` \\ ü ; -n=x";
    })
    (service "dash" {
      name = "tank/odd/dash";
      mountpoint = "none";
      properties."org.example:note" = "--help";
    })
    (service "empty" {
      name = "tank/odd/empty";
      mountpoint = "none";
      properties."org.example:note" = "";
    })
  ];
in {
  all = host ([
      (sonarr {})
      (service "media" {
        name = "tank/media";
        mountpoint = "/srv/media";
        properties = {
          recordsize = "1M";
          quota = "200M";
        };
        owner = "sonarr";
        mode = "2755";
      })
      (service "films" {
        name = "tank/media/films";
        mountpoint = "/srv/media/films";
        owner = "sonarr";
      })
      (service "old" {
        name = "tank/old";
        mountpoint = "legacy";
      })
      (service "none" {
        name = "tank/none";
        mountpoint = "none";
        properties.atime = "off";
      })
      (service "manual" {
        name = "tank/manual";
        mountpoint = "/srv/manual";
        canmount = "noauto";
      })
      (service "secret" {
        name = "tank/secret";
        mountpoint = "/srv/secret";
        properties = {
          encryption = "aes-256-gcm";
          keyformat = "passphrase";
          keylocation = "file:///run/keys/passphrase";
        };
        mode = "0700";
      })
    ]
    ++ odd);
  few = host [
    (sonarr {})
    (service "media" {
      name = "tank/media";
      mountpoint = "/srv/media";
      properties.recordsize = "1M";
      owner = "sonarr";
      mode = "0711";
    })
    (service "films" {
      name = "tank/media/films";
      mountpoint = "/srv/media/deep/films";
      owner = "sonarr";
      mode = "0700";
    })
  ];
  one = host [(sonarr {})];
  other-owner = host [
    (sonarr {
      owner = "sonarr";
      group = "root";
      mode = "0700";
    })
  ];
  create-only = host [
    (sonarr {
      properties = {
        recordsize = "16K";
        casesensitivity = "insensitive";
      };
    })
  ];
  no-owner = host [(sonarr {owner = "nobody-knows";})];
  moved = host [(sonarr {mountpoint = "/srv/elsewhere";})];
  kinds = host [
    (kinds {
      recordsize = "64K";
      compression = "lz4";
      atime = "off";
      filesystem_limit = "10";
      quota = "100M";
      "org.example:note" = "one";
      snapdir = "visible";
    })
  ];
  kinds-changed = host [
    (kinds {
      recordsize = "1024K";
      compression = "zstd-5";
      atime = "on";
      filesystem_limit = "none";
      quota = "none";
      "org.example:note" = "two words";
      snapdir = "hidden";
    })
  ];
  beneath = host [
    (service "inner" {
      name = "tank/inner";
      mountpoint = "/srv/outer/inner";
    })
  ];
  in-secret = host [
    (service "app" {
      name = "tank/secret/app";
      mountpoint = "/srv/app";
    })
  ];
  refused = host [
    (sonarr {})
    (service "newline" {
      name = "tank/newline";
      mountpoint = "none";
      properties."org.example:note" = "a\nb";
    })
    (service "control" {
      name = "tank/control";
      mountpoint = "/srv/a\tb";
    })
    (service "semicolon" {
      name = "tank/a;reboot";
      mountpoint = "none";
    })
    (service "dash" {
      name = "tank/-r";
      mountpoint = "none";
    })
    (service "dashed" {
      name = "-rf/x";
      mountpoint = "none";
    })
    (service "dollar" {
      name = "tank/$(reboot)";
      mountpoint = "none";
    })
    (service "unicode" {
      name = "tank/ü";
      mountpoint = "none";
    })
    (service "blank" {
      name = "tank/a b";
      mountpoint = "none";
    })
    (service "snapshot" {
      name = "tank/a@b";
      mountpoint = "none";
    })
    (service "relative" {
      name = "tank/relative";
      mountpoint = "srv";
    })
    (service "up" {
      name = "tank/up";
      mountpoint = "/srv/../etc";
    })
    (service "property" {
      name = "tank/property";
      mountpoint = "none";
      properties."-o" = "x";
    })
    (service "value" {
      name = "tank/value";
      mountpoint = "none";
      properties.recordsize = "100K";
    })
  ];
}
