package cli

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/aggregate"
)

// What lies in the place of a plan is told, and stays; the way out is not the command that was just refused.
func TestWhatIsNoPlanIsNotWrittenOver(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "it cannot be read: unexpected end of JSON input",
		`{"protocolVersion": "1`:   "it cannot be read: unexpected end of JSON input",
		`{"protocolVersion": "2"}`: `it has protocolVersion "2", and this stateward knows "1"`,
		`{"protocolVersion": "1", "host": "attic"}`: `it is that of "attic"`,
	} {
		file := filepath.Join(t.TempDir(), "forge.json")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := lostSettings(file, &aggregate.HostPlan{Host: "forge"})
		require.EqualError(t, err, file+" is no plan of this host, and is not written over: "+want)
		require.Equal(t, "remove the file where nobody needs it, and write it again, or name another folder", hintOf(err))
	}
}

func TestTimeFlagNamesWhatHoldsWithoutIt(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:               "leave the flag out where there is no limit",
		2 * time.Minute: "write such as 90s, 5m or 1h30m, or leave the flag out: it is 2m0s then",
	} {
		require.Equal(t, want, hintOf(timeFlag{&d}.Set("0")))
	}
}
