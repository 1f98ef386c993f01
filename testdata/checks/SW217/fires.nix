{
  config = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    systemd.services.appdata-datasets = {
      after = ["zfs-mount.service"];
      script = "/bin/zfs list tank/app || /bin/zfs create -o mountpoint=/srv/app tank/app\nchown 568 /srv/app";
    };
  };
}
