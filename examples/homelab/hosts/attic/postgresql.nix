# Mistake: the dataset and the bind mount want the same place. Whichever comes second
# hides the cluster that the first one holds.
{
  services.postgresql.enable = true;

  fileSystems."/var/lib/postgresql" = {
    device = "rpool/safe/postgresql";
    fsType = "zfs";
  };

  environment.persistence."/persist".directories = [
    {
      directory = "/var/lib/postgresql";
      user = "postgres";
      group = "postgres";
      mode = "0750";
    }
  ];
}
