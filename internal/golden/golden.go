// Package golden compares what a test got with a committed file. UPDATE_GOLDEN=1
// rewrites the file instead.
package golden

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"
)

// Updating tells whether golden files are being rewritten.
func Updating() bool { return os.Getenv("UPDATE_GOLDEN") == "1" }

// Compare fails the test when the file does not hold got, and prints the difference.
func Compare(t testing.TB, file string, got []byte) {
	t.Helper()
	if Updating() {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v\nhint: UPDATE_GOLDEN=1 go test writes it", err)
	}
	if d := diff.Diff(file, want, "got", got); len(d) > 0 {
		t.Errorf("%s is stale\nhint: UPDATE_GOLDEN=1 go test rewrites it\n%s", file, strings.TrimSpace(string(d)))
	}
}
