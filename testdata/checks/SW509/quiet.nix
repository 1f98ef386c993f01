{
  config = {
    fileSystems."/" = { device = "rpool/root"; fsType = "zfs"; };
    stateward.pitr.postgresql = { destination = "s3://bucket/pg"; server = "forge"; schedule = "weekly"; window = "14d"; cluster.dataDir = "/var/lib/postgresql/17"; };
  };
}
