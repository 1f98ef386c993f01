# The checks of our own flake.
{
  self,
  nixpkgs,
  pkgs,
  system,
}: let
  package = self.packages.${system}.default;
  inherit (self.lib) mkCheck;

  # The example is a flake of its own, without inputs.
  homelab = (import ../examples/homelab/flake.nix).outputs {self = homelab;} // {outPath = "${self}/examples/homelab";};

  # Our module with everything that NixOS itself declares.
  sample = {
    outPath = "${self}";
    nixosConfigurations.module = nixpkgs.lib.nixosSystem {
      modules = [
        self.nixosModules.default
        {
          nixpkgs.hostPlatform = system;
          boot.loader.grub.enable = false;
          fileSystems."/" = {
            device = "/dev/disk/by-label/root";
            fsType = "ext4";
          };
          services.sonarr.enable = true;
          stateward.services.sonarr = {
            enable = true;
            unit = "sonarr.service";
            dataDir = "/var/lib/sonarr";
          };
          system.stateVersion = "26.05";
        }
      ];
    };
  };
in
  {
    inherit package;

    format =
      pkgs.runCommand "stateward-format" {
        nativeBuildInputs = [pkgs.alejandra];
        files = builtins.path {
          path = ../.;
          name = "nix-files";
          filter = path: type: type == "directory" && baseNameOf path != ".git" || builtins.match ".*[.]nix" path != null;
        };
      } ''
        alejandra --check "$files"
        touch $out
      '';
  }
  // mkCheck {
    self = homelab;
    inherit system;
    hosts = ["forge"];
  }
  // mkCheck {
    self = sample;
    inherit system;
    config = false;
    threshold = "error";
  }
