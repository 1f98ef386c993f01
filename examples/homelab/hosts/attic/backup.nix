{
  services.restic.backups.offsite = {
    repository = "s3:https://s3.example.org/attic";
    # Mistake: without quotes this is a file of the configuration, and the configuration
    # is copied to /nix/store, where every account can read it.
    passwordFile = ./restic-password;
    paths = ["/var/lib/vaultwarden" "/var/lib/jellyfin"];
  };
}
