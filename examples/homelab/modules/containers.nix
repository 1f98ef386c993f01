{
  config,
  lib,
  ...
}: let
  inherit (lib) mkOption types;

  cfg = config.virtualisation.oci-containers;
  strings = description:
    mkOption {
      type = types.listOf types.str;
      default = [];
      inherit description;
    };

  container.options = {
    image = mkOption {
      type = types.str;
      description = "The image to run.";
    };
    autoStart = mkOption {
      type = types.bool;
      default = true;
      description = "Whether it starts at boot.";
    };
    volumes = strings ''"host path or volume name:path inside", each.'';
    ports = strings "Published ports.";
    dependsOn = strings "Containers that start first.";
    extraOptions = strings "More options of podman run.";
    environment = mkOption {
      type = types.attrsOf types.str;
      default = {};
      description = "Environment variables.";
    };
    user = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The user inside.";
    };
  };
in {
  options.virtualisation.oci-containers = {
    backend = mkOption {
      type = types.enum ["podman" "docker"];
      default = "podman";
      description = "What runs containers.";
    };
    containers = mkOption {
      type = types.attrsOf (types.submodule container);
      default = {};
      description = "Containers that run as services.";
    };
  };

  config.systemd.services =
    lib.mapAttrs'
    (name: container:
      lib.nameValuePair "${cfg.backend}-${name}" {
        wantedBy = lib.optional container.autoStart "multi-user.target";
        after = map (other: "${cfg.backend}-${other}.service") container.dependsOn;
        requires = map (other: "${cfg.backend}-${other}.service") container.dependsOn;
      })
    cfg.containers;
}
