# Mistake: /var/lib/nixos is missing. The numbers of accounts are dealt anew at
# every boot, and yesterday's files belong to somebody else.
{
  environment.persistence."/persist" = {
    directories = [
      "/var/log"
      "/var/lib/systemd"
      "/home"
    ];
    files = [
      "/etc/machine-id"
      "/etc/ssh/ssh_host_ed25519_key"
      "/etc/ssh/ssh_host_ed25519_key.pub"
    ];
  };
}
