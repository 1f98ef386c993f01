# Runs as a user that exists only while it runs (DynamicUser=). Its state is then in
# /var/lib/private/prowlarr, and /var/lib/prowlarr is a symbolic link that systemd makes.
{
  config,
  lib,
  ...
}: let
  cfg = config.services.prowlarr;
in {
  options.services.prowlarr.enable = lib.mkEnableOption "Prowlarr";

  config = lib.mkIf cfg.enable {
    systemd.services.prowlarr = {
      description = "Prowlarr";
      after = ["network.target"];
      wantedBy = ["multi-user.target"];
      environment.HOME = "/var/empty";
      serviceConfig = {
        DynamicUser = true;
        StateDirectory = "prowlarr";
        ExecStart = "/run/current-system/sw/bin/Prowlarr -nobrowser -data=/var/lib/prowlarr";
      };
    };
  };
}
