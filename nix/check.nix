# lib.mkCheck: for each host of a flake a derivation that runs `stateward check` on what the host evaluates to.
#
#   checks.x86_64-linux = stateward.lib.mkCheck {
#     inherit self;
#     system = "x86_64-linux";
#     hosts = null;       # names; null means all
#     config = null;      # a stateward.toml; null means the one beside flake.nix, if there is one; false means none
#     threshold = null;   # the least severity that fails: "info", "warning" or "error"; null means what the config says, else "warning"
#     now = null;         # the day by which `until` is judged; null means the day of the flake's last change
#     package = …;        # the stateward that checks
#   };
#
# A host is evaluated by the nix that evaluates the flake. The build starts no nix, needs no network and nothing but the command. The report
# is in the build log; where nothing counts, it is in the output too, as report.txt and report.json. docs/flake.md says more.
{packages}: {
  self,
  system,
  hosts ? null,
  config ? null,
  threshold ? null,
  now ? null,
  locations ? true,
  utf8 ? false,
  package ? packages.${system}.default,
}: let
  inherit
    (builtins)
    any
    attrNames
    concatStringsSep
    filter
    hashString
    listToAttrs
    map
    mapAttrs
    match
    placeholder
    replaceStrings
    substring
    toFile
    toJSON
    ;

  settings = import ./settings.nix {inherit self config;};

  all = self.nixosConfigurations or (throw "stateward: the flake has no nixosConfigurations");
  missing = filter (n: !(all ? ${n})) hosts;
  # No check at all would look like nothing to find.
  wanted =
    if attrNames all == []
    then throw "stateward: the flake has no hosts: nixosConfigurations is empty"
    else if hosts == null
    then attrNames all
    else if hosts == []
    then throw "stateward: hosts names no host; leave it out for all of ${concatStringsSep ", " (attrNames all)}"
    else if missing != []
    then throw "stateward: there is no host ${concatStringsSep ", " (map toJSON missing)}; there are ${concatStringsSep ", " (attrNames all)}"
    else hosts;

  # A name that a path in the store may have.
  stored = name:
    if match "[0-9A-Za-z+._?=-]+" name != null
    then name
    else hashString "sha256" name;

  # The day of a change, so that a check that was built once is not taken for green past the end of what was accepted.
  today =
    if now != null
    then now
    else if self ? lastModifiedDate
    then "${substring 0 4 self.lastModifiedDate}-${substring 4 2 self.lastModifiedDate}-${substring 6 2 self.lastModifiedDate}"
    else throw "stateward: something is accepted up to a day, and the flake does not say when it was last changed: name the day with now = \"2026-01-31\"";

  toml = toFile "stateward.toml" settings.text;

  # The build would say so, and nix flake check --no-build passes without one.
  least =
    if any (severity: threshold == severity) [null "info" "warning" "error"]
    then threshold
    else throw "stateward: threshold is ${toJSON threshold}, and none of info, warning, error";

  check = name: let
    evaluation = import ./evaluation.nix {
      inherit self config locations utf8;
      hosts = [name];
    };
    # By which nix is not told: what one has checked, another need not check again.
    text = toJSON (evaluation // {nix = "";});
    # Only then does the day matter: a derivation that changes each day is of no use to a cache.
    accepted = h:
      map (d:
        mapAttrs (n: v:
          if match "(.*[.])?acknowledge" n == null
          then null
          else v)
        (h.tree.${d}.sections or {}))
      (attrNames (h.tree or {}));
    contains = part: text: replaceStrings [part] [""] text != text;
    dated = settings.dated || any (h: contains "\"until\":\"" (toJSON (accepted h))) evaluation.hosts;
  in
    derivation {
      name = "stateward-${stored name}";
      inherit system;
      builder = "${package}/bin/stateward";
      args =
        ["check" (toFile "${stored name}.json" text) "--quiet" "--survival" "--color=never" "--write" (placeholder "out")]
        ++ (
          if settings.text == null
          then ["--no-config"]
          else ["--config" toml "--dialects-read"]
        )
        ++ (
          if least == null
          then []
          else ["--threshold" least]
        )
        ++ (
          if dated
          then ["--at" today]
          else []
        );
    };
in
  listToAttrs (map (name: {
      name = "stateward-${name}";
      value = check name;
    })
    wanted)
