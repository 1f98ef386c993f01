# The projection of a dialect that only tests use.
{probe}: {
  config,
  options,
}:
with probe; {
  detected = config ? test && !(config ? detection && config.detection);
  sections = {
    "test" = attrsOf (fields {
      text = any;
      list = listOf (fields {
        directory = any;
        user = any;
      });
      value = any;
    });
    "tree" = any;
    "hidden" = any;
    "settings.inner" = fields {
      on = any;
      off = any;
    };
    "checks" = listOf (where (c: !c.assertion) (fields {message = any;}));
    "computed" = value (map (n: n * 2) config.numbers or []);
    "names" = names;
    "elsewhere" = option ["far" "away"] text;
  };
}
