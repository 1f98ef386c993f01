# A host that archives PostgreSQL. The hosts of a flake are the same with what the module system adds.
{
  forge.config = {
    networking.hostName = "forge";
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };

    services.postgresql = {
      enable = true;
      dataDir = "/var/lib/postgresql/17";
      package.psqlSchema = "17";
      settings = {};
    };
    systemd.services.postgresql.serviceConfig = {
      User = "postgres";
      StateDirectory = "postgresql";
    };

    stateward.services = {
      postgresql-data = {
        enable = true;
        dataDir = "/var/lib/postgresql/17";
        dataset = {
          name = "tank/postgresql/data";
          properties.recordsize = "8K";
        };
      };
      postgresql-log = {
        enable = true;
        dataDir = "/var/lib/postgresql/17/pg_wal";
        dataset = {
          name = "tank/postgresql/log";
          properties.recordsize = "128K";
        };
      };
    };

    stateward.pitr.postgresql = {
      destination = "s3://backup/postgresql";
      server = "forge";
      endpoint = "https://s3.example.org";
      environmentFile = "/run/secrets/pitr.env";
      compression = "gzip";
      schedule = "*-*-* 02:00:00";
      window = "14d";
      redundancy = 2;
      archiveTimeout = "5min";
      drill.every = "30d";
      notify.onFailure = "critical";
    };
  };
}
