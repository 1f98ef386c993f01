# A sound host. Root is emptied at every boot; what must stay is on /persist or on a
# filesystem of its own, and has snapshots, a replica and an offsite copy.
{
  imports = [
    ./disks.nix
    ./persistence.nix
    ./sonarr.nix
    ./jellyfin.nix
    ./postgresql.nix
    ./backup.nix
  ];

  networking.hostName = "forge";
  networking.hostId = "f0a6e001";
  system.stateVersion = "25.05";

  users.mutableUsers = false;
  users.users.ada = {
    isNormalUser = true;
    uid = 1000;
    group = "ada";
    home = "/home/ada";
    # On /persist itself: accounts are set up before anything is bind mounted.
    hashedPasswordFile = "/persist/secrets/ada.hash";
  };
  users.groups.ada.gid = 1000;
}
