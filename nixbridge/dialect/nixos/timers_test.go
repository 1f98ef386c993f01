package nixos_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/nixbridge/dialect/internal/evaltest"
	"github.com/stateward/stateward/nixbridge/dialect/nixos"
)

// P12: a timer is read for whether it catches up; what else it says, its schedule, may throw.
func TestTimers(t *testing.T) {
	h := evaltest.Decode(t, nixos.Dialect(), `{ config = { fileSystems = { }; systemd.timers = {
		a.timerConfig = { Persistent = true; OnCalendar = throw "never looked at"; };
		b = { enable = false; timerConfig.Persistent = "yes"; };
		c.timerConfig = { };
		d.timerConfig.Persistent = throw "no";
		e.timerConfig.Persistent = "maybe";
	}; }; }`)[0]
	var got []string
	for _, x := range h.Timers.Or(nil) {
		got = append(got, fmt.Sprintf("%s enable %s persistent %s", x.Name, x.Enable, x.Persistent))
	}
	require.Empty(t, cmp.Diff([]string{
		"a.timer enable absent persistent true", "b.timer enable false persistent true", "c.timer enable absent persistent absent",
		"d.timer enable absent persistent unknown (systemd.timers.d.timerConfig.Persistent: throw)",
		`e.timer enable absent persistent unknown (systemd.timers.e.timerConfig.Persistent: expected a Boolean, found "maybe")`,
	}, got))
}
