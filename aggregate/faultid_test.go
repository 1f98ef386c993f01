package aggregate_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

func TestIdentityIsWithoutIndexes(t *testing.T) {
	for in, want := range map[string]string{
		`a.b[3].c[12]`:        `a.b.c`,
		`a."b[3]".c[1]`:       `a."b[3]".c`,
		`a."x\"[3]"[1]`:       `a."x\"[3]"`,
		`a[x]`:                `a[x]`,
		`a[`:                  `a[`,
		`environment."/a\\"]`: `environment."/a\\"]`,
	} {
		require.Equal(t, want, aggregate.Identify("h", stateward.Diagnostic{Subject: in})[0].Subject, in)
	}
}

// The store path of a flake changes with every revision, and the fault in it does not.
func TestIdentityOutlivesARevision(t *testing.T) {
	at := func(hash string) []aggregate.FaultID {
		return aggregate.Identify("h", stateward.Diagnostic{Code: "SW604", Subject: "a[1]", Path: "/nix/store/" + hash + "-source/x"})
	}
	require.Equal(t, at("6fcj4w0kksv7cgg4cp1yalr8d7fhcvbh"), at("1fcj4w0kksv7cgg4cp1yalr8d7fhcvbh"))
}
