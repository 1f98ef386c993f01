# Prowlarr runs with DynamicUser=, so its state is in /var/lib/private/prowlarr.
# Mistake: /var/lib/prowlarr has to be a symbolic link; as a mount it keeps the unit from starting.
# Mistake: systemd insists on mode 0700 for /var/lib/private, and 0755 is what an entry gets by default.
{
  services.prowlarr.enable = true;

  environment.persistence."/persist".directories = [
    "/var/lib/prowlarr"
    "/var/lib/private"
  ];
}
