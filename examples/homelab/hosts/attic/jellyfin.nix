# Mistake: a directory and one inside it. The second mount lies on the first, and a
# snapshot or a backup of one does not hold the other.
{
  services.jellyfin.enable = true;

  environment.persistence."/persist".directories = [
    {
      directory = "/var/lib/jellyfin";
      user = "jellyfin";
      group = "jellyfin";
      mode = "0700";
    }
    {
      directory = "/var/lib/jellyfin/metadata";
      user = "jellyfin";
      group = "jellyfin";
      mode = "0700";
    }
  ];
}
