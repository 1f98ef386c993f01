{config, ...}: {
  services.vaultwarden.enable = true;
  services.vaultwarden.config.SIGNUPS_ALLOWED = true;

  # Mistake: two entries for one path that disagree about its owner and mode.
  environment.persistence."/persist".directories = [
    {
      directory = "/var/lib/vaultwarden";
      user = "vaultwarden";
      group = "vaultwarden";
      mode = "0700";
    }
    {
      directory = "/var/lib/vaultwarden";
      user = "vaultwarden";
      group = "backup";
      mode = "0750";
    }
  ];

  # Mistake: this does not hold, so the host does not build. Whoever evaluates single options never hears of it.
  assertions = [
    {
      assertion = !config.services.vaultwarden.config.SIGNUPS_ALLOWED;
      message = "vaultwarden: anybody may sign up; set SIGNUPS_ALLOWED = false.";
    }
  ];
  warnings = ["vaultwarden: the admin page has no token."];
}
