# Stand-ins for NixOS modules: the real option names and shapes, as far as this
# example needs them, and of what the real modules generate the part that decides
# where data lives. On a real host all of this comes from nixpkgs and Impermanence.
{
  imports = [
    ./boot.nix
    ./environment.nix
    ./filesystems.nix
    ./users.nix
    ./systemd.nix
    ./persistence.nix
    ./containers.nix
    ./backup.nix
    ./snapshots.nix
    ./qgroget.nix
    ./services/jellyfin.nix
    ./services/postgresql.nix
    ./services/prowlarr.nix
    ./services/radarr.nix
    ./services/sonarr.nix
    ./services/vaultwarden.nix
  ];
}
