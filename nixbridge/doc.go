// Package nixbridge loads what a NixOS configuration really evaluates to. It is
// the only package that starts nix.
//
// A [Source] is a flake, a .nix file or a saved evaluation. [Evaluator] runs one nix
// process per host with the projections of the dialects (package nixbridge/dialect), each
// place isolated by the probe (probe.nix), and gives an [Evaluation]: a tree per host and
// dialect, and for each place that could not be evaluated why. [Load] also decodes it.
//
// nix needs no root, no daemon and no network, and writes nothing outside of a private folder.
package nixbridge
