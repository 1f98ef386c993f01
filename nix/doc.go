// Package nix holds the tests of our Nix: of flake.nix at the root and of the files in this folder. There is nothing in it
// to import.
package nix
