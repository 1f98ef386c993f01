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
        archive_command = "cp %p /mnt/nas/%f";
      };
    };
  };
}
