{
  config = {
    fileSystems."/" = {
      device = "tmpfs";
      fsType = "tmpfs";
    };
    fileSystems."/persist" = {
      device = "rpool/safe/persist";
      fsType = "zfs";
      neededForBoot = true;
    };
    assertions = [
      {
        assertion = true;
        message = throw "messages of passing assertions are never looked at";
      }
      {
        assertion = 1 > 2;
        message = "one is not more than two";
      }
    ];
  };
}
