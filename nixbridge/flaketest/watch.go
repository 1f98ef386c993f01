package flaketest

import (
	"os"
	"path/filepath"

	"github.com/stateward/stateward/nixbridge"
)

// watch makes `go test` run the test again when the source has changed. go remembers that a test passed, and forgets it when a
// file that the test itself opened has changed; what nix opens it does not see. A folder that was opened counts with the names, sizes and
// times of what is in it (computeTestInputsID in cmd/go/internal/test/test.go).
func watch(src nixbridge.Source) {
	path, ok := src.Local()
	if !ok {
		return
	}
	wd, err := os.Getwd()
	if err != nil {
		return
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return
	}
	rel, err := filepath.Rel(wd, abs)
	if err != nil {
		return
	}
	// go leaves alone what lies outside of the test's module, and goes by the beginning of the name: a name that goes up from
	// within it counts.
	name := wd + string(filepath.Separator) + rel
	if st, err := os.Stat(name); err != nil || !st.IsDir() {
		return
	}
	watchFolder(name)
	// Which files git tracks, nix sees.
	_, _ = os.Stat(name + "/.git/index")
}

func watchFolder(name string) {
	entries, err := os.ReadDir(name)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != ".git" {
			watchFolder(name + string(filepath.Separator) + e.Name())
		}
	}
}
