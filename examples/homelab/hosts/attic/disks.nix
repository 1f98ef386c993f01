{lib, ...}: {
  fileSystems = {
    "/" = {
      device = "rpool/local/root";
      fsType = "zfs";
    };
    "/nix" = {
      device = "rpool/local/nix";
      fsType = "zfs";
    };
    "/boot" = {
      device = "/dev/disk/by-label/boot";
      fsType = "vfat";
    };

    # Mistake: without neededForBoot this is mounted after the first things that need it.
    "/persist" = {
      device = "rpool/safe/persist";
      fsType = "zfs";
    };

    # Mistake: two filesystems on one mount point. One of them hides the other.
    "/srv/media" = {
      device = "tank/media";
      fsType = "zfs";
    };
    films = {
      mountPoint = "/srv/media";
      device = "tank/films";
      fsType = "zfs";
    };

    # Mistake: this is mounted early, then /srv/media is mounted over it.
    "/srv/media/music" = {
      device = "tank/music";
      fsType = "zfs";
      neededForBoot = true;
    };
  };

  boot.supportedFilesystems = ["zfs"];

  boot.initrd.postDeviceCommands = lib.mkAfter ''
    zfs rollback -r rpool/local/root@blank
  '';
}
