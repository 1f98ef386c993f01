# What a host declares: a service with a dataset, snapshots, a backup and a preseed.
{
  fileSystems."/" = {
    device = "rpool/root";
    fsType = "zfs";
  };
  fileSystems."/srv/media" = {
    device = "tank/media";
    fsType = "zfs";
  };
  users.users.paperless = {
    uid = 315;
    group = "paperless";
    isSystemUser = true;
  };
  users.groups.paperless.gid = 315;
  systemd.services.paperless-web.serviceConfig.ExecStart = "/run/current-system/sw/bin/paperless";

  stateward.backup = {
    repositories.nas = {
      url = "sftp:backup@nas:/srv/restic/forge";
      passwordFile = "/run/secrets/restic";
    };
    defaults = {
      schedule = "daily";
      prune = ["--keep-daily 7"];
      notify.onFailure = "critical";
    };
  };
  stateward.services.paperless = {
    enable = true;
    unit = "paperless-web";
    dataDir = "/var/lib/paperless";
    dataset = {
      name = "tank/services/paperless";
      owner = "paperless";
      mode = "0750";
      snapshots.policy = "services";
    };
    backup = {};
    preseed.sources = ["local" "restic"];
  };
}
