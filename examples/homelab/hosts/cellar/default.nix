# Two mistakes that keep a part of this host from evaluating: see paperless.nix and photos.nix.
# Everything else about it can be known, and stateward says which part cannot.
{
  imports = [
    ./disks.nix
    ./vaultwarden.nix
    ./paperless.nix
    ./photos.nix
  ];

  networking.hostName = "cellar";
  system.stateVersion = "25.05";

  environment.persistence."/persist" = {
    directories = [
      "/var/log"
      "/var/lib/nixos"
      "/var/lib/systemd"
    ];
    files = [
      "/etc/machine-id"
      "/etc/ssh/ssh_host_ed25519_key"
      "/etc/ssh/ssh_host_ed25519_key.pub"
    ];
  };
}
