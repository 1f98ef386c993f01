# Hosts of the end-to-end test of `stateward plan migrate`; hosts.json is their evaluation.
let
  units = {
    app.serviceConfig = {
      StateDirectory = "app";
      User = "daemon";
    };
    reader.serviceConfig = {
      User = "daemon";
      ReadWritePaths = ["/var/lib/app/media"];
    };
  };
  service = {
    enable = true;
    unit = "app";
    dataDir = "/var/lib/app";
    dataset = {
      name = "tank/services/app";
      properties = {
        recordsize = "16K";
        compression = "zstd";
        acltype = "posix";
        xattr = "sa";
      };
      owner = "daemon";
      group = "daemon";
      mode = "0751";
    };
  };
  restic = password: {
    services.restic.backups.apps = {
      paths = ["/var/lib/app"];
      repository = "/srv/repository";
      passwordFile = password;
    };
  };
in {
  # The data is in a directory of the root, which is no ZFS, and nothing backs it up.
  plain.config = {
    systemd.services = units;
    stateward.services.app = service;
  };
  # It says how to see whether it works.
  healthy.config = {
    systemd.services = units;
    stateward.services.app =
      service
      // {
        healthCheck = {
          command = "echo A SECRET; test -e '/srv/it works'";
          interval = "1s";
          retries = 2;
        };
      };
  };
  # There is a restic job.
  kept.config =
    {
      systemd.services = units;
      stateward.services.app = service;
    }
    // restic "/srv/password";
  wrong.config =
    {
      systemd.services = units;
      stateward.services.app = service;
    }
    // restic "/srv/wrong";
  # A pool that has no room for it.
  full.config = {
    systemd.services = units;
    stateward.services.app = service // {dataset = service.dataset // {name = "small/app";};};
  };
  # The place is odd, and so are the names above it.
  odd.config = {
    systemd.services = units;
    stateward.services.app =
      service
      // {
        dataDir = "/srv/it's \"odd\" $(touch pwned) é/-c";
        dataset = service.dataset // {name = "tank/odd";};
      };
  };
}
