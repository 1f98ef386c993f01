# One host for each way in which an evaluation can go wrong. `options` are by hand where they matter.
let
  option = file: value: {
    _type = "option";
    definitionsWithLocations = [{inherit file value;}];
  };
  here = toString ./hosts.nix;
  byte = builtins.substring 0 1 (builtins.fromJSON "\"\\u0080\"");
in {
  good.config = {
    test.a = {
      text = "hello";
      value = 1;
    };
    tree.x = [1 2];
  };

  throws.config.test = {
    a.text = throw "a is broken";
    b = throw "the whole of b is broken";
    c.text = assert false; "c";
    d.text = "sound";
    e.list = ["/x" (throw "one element") {directory = "/z";}];
  };

  uncatchable.config = {
    test.missing.text = {}.nope;
    test.type.text = "a" + 1;
    test.aborts.text = builtins.abort "enough";
    test.recursion.text = let x = x; in x;
    test.sound.text = "sound";
    test.mixed = {
      text = throw "caught";
      value = {}.nope;
    };
    tree.below.a = {}.gone;
    tree.below.b = "sound";
  };

  deepRecursion.config.test = {
    deep.text = let f = n: 1 + f (n + 1); in f 0;
    sound.text = "sound";
  };

  # One mistake that hundreds of values share.
  epidemic.config = {
    test = builtins.listToAttrs (builtins.genList (i: {
        name = "s${toString i}";
        value = {
          text = {}.shared;
          value = 1;
        };
      })
      300);
    tree = 1;
  };

  spine.config = {
    test = {${throw "no name"} = 1;};
    tree = {${{}.nope} = 1;};
    checks = [];
  };

  kinds.config = {
    test = {};
    tree = {
      function = x: x;
      functor = {
        __functor = self: x: x;
        a = 1;
      };
      path = ./secret.txt;
      missingPath = ./does-not-exist;
      derivation = derivation {
        name = "pkg-1.0";
        system = "x86_64-linux";
        builder = "/bin/sh";
      };
      coerced = {outPath = ./secret.txt;};
      text = {__toString = self: "said";};
      float = 1.5;
      infinite = 1.0e308 * 10;
      big = 9223372036854775807;
      null = null;
      module._module.args = throw "never read";
      deep = let d = {inherit d;}; in d;
      forged = {
        __stateward = "unknown";
        kind = "throw";
      };
      context = "${derivation {
        name = "pkg-1.0";
        system = "x86_64-linux";
        builder = "/bin/sh";
      }}/bin/pkg";
      "odd name\n\${x}" = "${builtins.fromJSON "\"\\u0001\""} \" \\ é 𝄞";
    };
    checks = [
      {
        assertion = true;
        message = throw "of a passing assertion";
      }
      {
        assertion = false;
        message = "fails";
      }
      {
        assertion = throw "?";
        message = "m";
      }
    ];
    numbers = [1 2];
    names = {
      z = throw "z";
      a = {}.a;
    };
    far.away = derivation {
      name = "pkg-1.0";
      system = "x86_64-linux";
      builder = "/bin/sh";
    };
    settings = {
      __functor = throw "never";
      inner = {
        on = 1;
        off = throw "hidden";
      };
    };
    hidden = throw "hidden";
  };
  kinds.options = {
    hidden = {
      _type = "option";
      visible = false;
    };
    settings.inner.off = {
      _type = "option";
      visible = false;
    };
  };

  bytes.config = {
    test = {
      a.text = "x${byte}y";
      b.text = "é";
      ${byte}.text = 1;
    };
    tree.${byte} = 1;
  };

  huge.config = {
    test = {};
    tree = {
      list = builtins.genList (i: i) 200000;
      text = builtins.concatStringsSep "" (builtins.genList (_: "0123456789") 100000);
    };
  };

  nothing.config = throw "the configuration is broken";
  broken.config = {}.config;
  noHost = {lib = 1;};
  endless.config = {test.a.text = builtins.foldl' (a: b: a + b) 0 (builtins.genList (i: builtins.length (builtins.genList (j: j) 100000)) 100000000);};
  hungry.config = {
    test.a.value = builtins.length (builtins.concatLists (builtins.genList (i: builtins.genList (j: "${toString i}${toString j}") 100000) 100000));
    test.b.text = "sound";
  };
  undetected.config = {${throw "no names at all"} = 1;};
  undetectable.config = {
    test = {};
    detection = {}.nope;
  };
  everySection.config =
    builtins.listToAttrs (map (n: {
      name = n;
      value = throw "cannot go on";
    }) ["test" "tree" "checks" "names"])
    // {numbers = throw "cannot go on";};

  located.config = {
    test.a = {
      text = "t";
      list = ["/one" {directory = "/two";}];
    };
    settings.inner.on = 1;
  };
  located.options = {
    test = {
      _type = "option";
      definitionsWithLocations = [
        {
          file = "/elsewhere/module.nix";
          value = {a.text = "overridden";};
        }
        {
          file = here;
          value = {
            _type = "if";
            condition = true;
            content = {
              _type = "merge";
              contents = [
                {
                  a = {
                    list = {
                      _type = "order";
                      priority = 1500;
                      content = [
                        "/one"
                        {directory = "/two";}
                      ];
                    };
                  };
                }
                {
                  _type = "if";
                  condition = false;
                  content = throw "not here";
                }
              ];
            };
          };
        }
        {
          file = here;
          value = throw "a definition that cannot be had";
        }
      ];
    };
    settings.inner.on = option here 1;
  };
}
