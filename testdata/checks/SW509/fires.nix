{
  config = {
    fileSystems."/" = {
      device = "rpool/root";
      fsType = "zfs";
    };
    stateward.acknowledge = [
      {
        code = "SW510";
        subject = "stateward.pitr.postgresql";
        reason = "the units come with the next deploy";
      }
    ];
    stateward.pitr.postgresql = {
      destination = "s3://bucket/pg";
      server = "forge";
      schedule = "monthly";
      window = "14d";
      cluster.dataDir = "/var/lib/postgresql/17";
    };
  };
}
