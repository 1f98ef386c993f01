{
  lib,
  stdenv,
  buildGoModule,
  installShellFiles,
}: let
  # Only what the command is built from: a change of other files is no reason to build it again.
  top = toString ../.;
  without = [".ci" ".git" ".github" "bin" "e2e" "examples" "nix" "scripts" "testdata" "tools"];
  source = builtins.path {
    path = ../.;
    name = "stateward-source";
    filter = path: type: let
      name = builtins.substring (builtins.stringLength top + 1) (builtins.stringLength path) path;
      base = baseNameOf path;
      within = folder: name == folder || builtins.substring 0 (builtins.stringLength folder + 1) name == "${folder}/";
    in
      if builtins.any within without
      then false
      else if type == "directory"
      then base != "testdata" && (!(within "docs") || name == "docs" || within "docs/schema")
      else builtins.match ".*[.]md|flake[.].*|[.].*" base == null;
  };
in
  buildGoModule {
    pname = "stateward";
    version = builtins.head (builtins.match ".*releaseVersion = \"([^\"]+)\".*" (builtins.readFile ../internal/cli/version.go));
    src = source;

    # What `go mod vendor` writes of that source. A test computes it anew and says what to write here.
    vendorHash = "sha256-GNYwdoKxtCSyx5VLaTO9htFd0TFRSvYKZuFkuCyUFkA=";

    env.CGO_ENABLED = "0";
    subPackages = ["cmd/stateward"];
    ldflags = ["-s"];
    # The tests start nix and more; make test runs them.
    doCheck = false;

    nativeBuildInputs = [installShellFiles];
    postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
      for shell in bash fish zsh; do
        $out/bin/stateward completion $shell >stateward.$shell
      done
      installShellCompletion --cmd stateward --bash stateward.bash --fish stateward.fish --zsh stateward.zsh
      $out/bin/stateward man man
      installManPage man/*
    '';

    meta = {
      description = "Says which data of NixOS services survives, and writes the plans that make it so";
      license = lib.licenses.mit;
      mainProgram = "stateward";
      platforms = lib.platforms.unix;
    };
  }
