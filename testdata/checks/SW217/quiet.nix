{
  config = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    systemd.services.appdata-datasets = {
      after = ["zfs-mount.service"];
      script = "/bin/zfs list tank/app || /bin/zfs create -o mountpoint=/srv/app tank/app\n/bin/zfs set recordsize=16K tank/app\nmountpoint -q /srv/app && chown 568 /srv/app";
    };
  };
}
