# The disk `warm` was renamed to `hot`, here it was forgotten. A missing attribute is worse than a throw: nothing
# in Nix can catch it, and it ends the evaluation of whoever asks for this value.
let
  disks = {
    hot = "/srv/hot";
    cold = "/srv/cold";
  };
in {
  qgroget.serviceModules.photos = {
    enable = true;
    domain = "example.org";
    subdomain = "photos";
    port = 2283;
    dataDir = "${disks.warm}/photos";
  };

  # The collector reads every dataDir. With it the list of persisted directories could not be read either.
  qgroget.collect = false;
}
