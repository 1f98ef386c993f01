package stateward_test

import (
	"os/exec"
	"testing"
)

// program returns the path of a program whose answers the tests compare with.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is needed to compare with; run: make deps", name)
	}
	return path
}
