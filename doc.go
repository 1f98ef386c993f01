// Package stateward holds the contract that every other package of this module
// is built on: what one NixOS host declares about the state of its services,
// normalised, with nothing guessed.
//
// The types here carry facts and where they came from. They hold no policy:
// package aggregate decides what survives a reboot, package nixbridge is the
// only one that starts nix. This package imports the standard library only,
// and neither files, nor processes, nor the clock.
//
// Three states of a fact are kept apart everywhere (see [Value]): it is known,
// it is absent (the configuration has no such option, or leaves it null), or
// it is unknown (the option is there and could not be evaluated or understood).
// A check that needs an unknown fact answers "unknown", never "fine".
package stateward
