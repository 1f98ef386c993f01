// Package flaketest tests what a flake evaluates to, from another project's `go test`:
//
//	func TestHosts(t *testing.T) { flaketest.Golden(t, "..", "testdata/golden") }
//
// compares every host with committed files, and `UPDATE_GOLDEN=1 go test` writes them anew. The command
// `stateward golden` does the same. For each host there are, in a folder of its name:
//
//   - evaluated.json: the values that are read, one a line;
//   - persistence.txt: what is persisted, with owner, mode and services, and what is missing;
//   - survival.txt: every state path, and what it survives;
//   - findings.txt: what the checks say, and what could not be evaluated.
//
// The files are equal on every version of nix and on every machine: hashes of the store, names of folders, lines, and nix'
// own words for errors are left out. They are of the configuration alone: a stateward.toml is not read, and an
// acknowledgement in the configuration is shown as accepting, whatever day it is.
package flaketest
