// Package homelab_test keeps the example homelab as it is meant to be. It is a module of its own, as it would be in
// the repository of a flake.
package homelab_test

import (
	"testing"

	"github.com/stateward/stateward/nixbridge/flaketest"
)

// What every host evaluates to is committed, so that each change of it is seen in review.
func TestGolden(t *testing.T) { flaketest.Golden(t, "../homelab", "testdata/golden") }

// Nothing of forge may be lost.
func TestForgeLosesNothing(t *testing.T) { flaketest.NoFindings(t, "../homelab#forge") }
