# Evaluates, builds but for one assertion, and boots. What it loses shows
# after the first reboot, or on the day of the first restore.
{
  imports = [
    ./disks.nix
    ./persistence.nix
    ./logging.nix
    ./sonarr.nix
    ./radarr.nix
    ./jellyfin.nix
    ./prowlarr.nix
    ./postgresql.nix
    ./vaultwarden.nix
    ./uploads.nix
    ./backup.nix
  ];

  networking.hostName = "attic";
  networking.hostId = "a771c002";
  system.stateVersion = "25.05";
}
