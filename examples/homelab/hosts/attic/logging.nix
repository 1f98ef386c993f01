# Mistake: persistence.nix has /var/log already. Impermanence refuses a path given twice, even
# when once it is a string and once a set, which no `unique` notices.
{
  environment.persistence."/persist".directories = [
    {directory = "/var/log";}
  ];
}
