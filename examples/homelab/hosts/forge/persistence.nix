# What the host itself needs. What a service needs stands with the service.
{
  environment.persistence."/persist" = {
    hideMounts = true;
    directories = [
      "/var/log"
      # Which number belongs to which account. Without it restored files change owners.
      "/var/lib/nixos"
      # When each timer ran last.
      "/var/lib/systemd"
    ];
    files = [
      "/etc/machine-id"
      # Who the host is to others, and what decrypts its secrets.
      "/etc/ssh/ssh_host_ed25519_key"
      "/etc/ssh/ssh_host_ed25519_key.pub"
    ];
  };
}
