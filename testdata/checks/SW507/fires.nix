{
  config = {
    fileSystems."/" = { device = "rpool/root"; fsType = "zfs"; };
    stateward.pitr.postgresql = { destination = "s3://bucket/pg"; server = "forge"; schedule = "daily"; cluster.dataDir = "/var/lib/postgresql/17"; };
    stateward.pitr.reports = { destination = "s3://bucket/pg/"; server = "forge"; schedule = "daily"; cluster.dataDir = "/srv/reports"; };
  };
}
