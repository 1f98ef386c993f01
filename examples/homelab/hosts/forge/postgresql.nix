# A database gets a dataset of its own, for the record size and for snapshots that
# hold all of it at one moment. So it is not persisted as well: it never was on root.
{
  services.postgresql.enable = true;
  services.postgresql.ensureDatabases = ["recipes"];

  fileSystems."/var/lib/postgresql" = {
    device = "rpool/safe/postgresql";
    fsType = "zfs";
  };
}
