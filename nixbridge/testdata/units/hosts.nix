# Units as nixpkgs makes them, without nixpkgs: each is a derivation that holds its text.
let
  system = "x86_64-linux";
  builder = "/bin/sh";
  writeText = name: text:
    derivation {
      inherit name text system builder;
      args = ["-c" "echo -n \"$text\" > $out"];
    };
  script = name: text: "${derivation {inherit name text system builder;}}/bin/${name}";
  structured = name: text:
    derivation {
      inherit name text system builder;
      __structuredAttrs = true;
    };
  program = derivation {
    name = "hello-1.0";
    inherit system builder;
  };

  unit = name: rest @ {
    text,
    enable ? true,
    ...
  }:
    {
      inherit enable;
      unit =
        if enable
        then writeText "unit-${name}" text
        else
          derivation {
            name = "unit-${name}-disabled";
            inherit system builder;
          };
    }
    // rest;

  wipe = derivation {
    name = "wipe";
    inherit system builder;
    text = "#!/bin/sh\nrm -rf /var/lib/wiped/*\n";
  };
  start = script "unit-script-sonarr-start" "#!/bin/sh\nexport SONARR_TOKEN=canary-script\n\"a\\b\"\tü\n${wipe} now\n${program}/bin/hello\n";
  units = {
    "sonarr.service" = unit "sonarr.service" {
      text = ''
        [Service]
        Environment="DB_PASSWORD=canary unit" "LANG=C"
        ExecStartPre=-${start}
        ExecStartPre=+${./prepare.sh} --fast
        ExecStart=${program}/bin/hello --config ${writeText "hello.conf" "password=canary-conf"}
        ExecStop=/bin/sh ${structured "stop.sh" "#!/bin/sh\necho stopped\n"}
      '';
    };
    "structured.service" = {
      enable = true;
      text = "[Service]\nType=oneshot\n";
      unit = structured "unit-structured.service" "[Service]\nType=oneshot\n";
    };
    "sonarr.timer" = unit "sonarr.timer" {text = "[Timer]\nOnCalendar=daily\n";};
    "var-lib-x\\x2dy.mount" = {
      text = "[Mount]\nWhere=/var/lib/x-y\n";
      enable = true;
      overrideStrategy = "asDropin";
      unit = writeText "unit-mount" "[Mount]\nWhere=/var/lib/x-y\n";
    };
    "masked.service" = unit "masked.service" {
      text = "[Service]\nExecStart=/bin/never\n";
      enable = false;
    };
  };
  broken = {
    "thrown.service" = throw "no such disk";
    "noText.service" = {
      enable = true;
      text = throw "no text";
      unit = writeText "unit-noText" "[Unit]\nDescription=there\n";
    };
    "noUnit.service" = {
      enable = true;
      text = "[Service]\nEnvironment=A_TOKEN=canary-option\n";
      unit = throw "the package is broken";
    };
    "missing.service" = {
      enable = true;
      text = "[Unit]\nDescription=missing\n";
      unit = {}.nothing;
    };
    "text.service" = {
      enable = true;
      text = "[Unit]\nDescription=other\n";
      unit = "/run/units/text.service";
    };
    "built.service" = {
      enable = true;
      text = "[Unit]\nDescription=built\n";
      unit = derivation {
        name = "unit-built";
        inherit system builder;
      };
    };
    "both.service" = {
      enable = true;
      unit = program;
    };
  };
  host = us: {
    config.systemd = {
      units = us;
      packages = [
        {
          name = "dbus-1.14";
          type = "derivation";
        }
      ];
    };
  };
in {
  whole = host units;
  broken = host (units // broken);
  none.config.systemd = {};
  failed.config = throw "not finished";
}
