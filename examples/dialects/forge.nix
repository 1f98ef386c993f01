{
  homelab.apps = {
    forgejo = {
      enable = true;
      stateDir = "/var/lib/forgejo";
      precious = true;
    };
    paperless = {
      enable = true;
      stateDir = "/persist/paperless";
      extraPaths = ["/srv/scans"];
    };
    wiki.stateDir = "/var/lib/wiki";
  };
}
