# Mistake: nobody persisted /var/lib/sonarr. Every reboot starts with an empty library.
{
  services.sonarr = {
    enable = true;
    dataDir = "/var/lib/sonarr";
  };
}
