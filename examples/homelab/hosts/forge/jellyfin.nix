# The same for Jellyfin by way of the homelab's own contract (see modules/qgroget.nix): it is
# enabled, so its dataDir is persisted.
{config, ...}: {
  services.jellyfin.enable = true;

  qgroget.serviceModules.jellyfin = {
    enable = true;
    domain = "example.org";
    subdomain = "watch";
    exposed = true;
    type = "private";
    port = 8096;
    dataDir = config.services.jellyfin.dataDir;
  };
}
