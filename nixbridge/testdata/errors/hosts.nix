# One host for each kind of error that ends an evaluation. Nothing of them can be read.
let
  lib.option = message: throw message;
  build = derivation { name = "x"; system = "x86_64-linux"; builder = "/bin/sh"; };
in
{
  abort.config = abort "enough";
  assertion.config = assert 1 == 2; { };
  assertionOfModules.config = throw "\nFailed assertions:\n- the disk is full";
  call.config = 1 2;
  coerce.config = "a" + 1;
  duplicate.config = import ./duplicate.nix;
  function.config = { test = x: x; }.test.a;
  importFromDerivation.config = import build;
  infiniteRecursion.config = let x = x; in x;
  missingArgument.config = ({ a }: a) { };
  missingAttribute.config = { a = 1; }.b;
  missingFile.config = import ./nope.nix;
  network.config = builtins.fetchTarball "http://127.0.0.1:9/x.tar.gz";
  optionRemoved.config = lib.option "The option `services.a.b' can no longer be used since it's been removed.";
  optionUndefined.config = lib.option "The option `services.foo' does not exist. Definition values:\n- In `x': 1";
  optionWithoutValue.config = lib.option "The option `services.a.b' was accessed but has no value defined. Try setting the option.";
  stackOverflow.config = let f = n: 1 + f (n + 1); in f 0;
  syntax.config = import ./syntax.nix;
  throw.config = throw "decide where the documents go";
  throwLikeOther.config = throw "attribute 'a' missing";
  type.config = builtins.attrNames 1;
  undefinedVariable.config = import ./undefined.nix;
}
