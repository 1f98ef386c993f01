# Mistakes: a path without its leading slash, one with a slash at its end, and one under /tmp, which
# is emptied whatever is mounted there.
{
  environment.persistence."/persist".directories = [
    "var/lib/uploads"
    "/var/lib/thumbnails/"
    "/tmp/uploads"
  ];
}
