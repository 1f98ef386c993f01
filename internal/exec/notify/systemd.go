//go:build unix

package notify

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stateward/stateward/internal/run"
)

// State is how a unit ended, as systemd says. The zero value of a field means that it is not known.
type State struct {
	// Result is systemd's word for it: success, exit-code, signal, timeout, oom-kill …
	Result string
	// ExitStatus is a number, or the name of the signal that ended the main process, without "SIG".
	ExitStatus string
	// Started and Ended are those of the main process, to the second.
	Started, Ended time.Time
	invocation     string
}

// StateError says why systemd does not tell of a unit.
type StateError struct{ Unit, Reason string }

func (e *StateError) Error() string { return fmt.Sprintf("unit %s: %s", e.Unit, e.Reason) }

// systemctl may take this long.
const systemctlTime = 20 * time.Second

// UnitState asks systemd how a unit ended. What it hands to the unit that we run in, in the environment, holds for the run that had it started; what it
// answers may be of a later one. The State is filled as far as it is known, also beside an error.
func UnitState(ctx context.Context, unit string, getenv func(string) string) (State, error) {
	var s State
	ctx, cancel := context.WithTimeout(ctx, systemctlTime)
	defer cancel()
	res, err := run.Run(ctx, run.Cmd{
		Path: "systemctl", Args: []string{"show", "--timestamp=unix", "--property=LoadState,Result,InvocationID,ExecMainCode,ExecMainStatus,ExecMainStartTimestamp,ExecMainExitTimestamp", "--", unit},
		Env: []string{"PATH=" + getenv("PATH") + ":/run/current-system/sw/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8", "SYSTEMD_COLORS=0"}, MaxStdout: 1 << 16,
	})
	if err == nil {
		err = s.read(unit, string(res.Stdout))
	} else {
		err = &StateError{unit, "systemd does not tell how it ended: " + err.Error()}
	}
	if getenv("MONITOR_UNIT") == unit { // systemd.exec(5), since 251
		if r := getenv("MONITOR_SERVICE_RESULT"); r != "" {
			s.Result, err = r, nil
		}
		if id := getenv("MONITOR_INVOCATION_ID"); id != "" && id != s.invocation {
			// The next run has begun already.
			s.Started, s.Ended, s.ExitStatus = time.Time{}, time.Time{}, ""
		}
		if e := getenv("MONITOR_EXIT_STATUS"); e != "" {
			s.ExitStatus = e
		}
	}
	return s, err
}

// read reads what `systemctl show` prints.
func (s *State) read(unitName, text string) error {
	v := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		v[name] = value
	}
	if state := v["LoadState"]; state == "not-found" {
		return &StateError{unitName, "systemd does not know it"}
	}
	s.Result, s.invocation = v["Result"], v["InvocationID"]
	at := func(name string) time.Time {
		n, err := strconv.ParseInt(strings.TrimPrefix(v[name], "@"), 10, 64)
		if err != nil || n <= 0 {
			return time.Time{}
		}
		return time.Unix(n, 0)
	}
	s.Started, s.Ended = at("ExecMainStartTimestamp"), at("ExecMainExitTimestamp")
	status, err := strconv.Atoi(v["ExecMainStatus"])
	if err != nil || s.Ended.IsZero() {
		return nil
	}
	switch v["ExecMainCode"] {
	case "1": // CLD_EXITED
		s.ExitStatus = strconv.Itoa(status)
	case "2", "3": // CLD_KILLED, CLD_DUMPED
		s.ExitStatus = strings.TrimPrefix(unix.SignalName(unix.Signal(status)), "SIG")
	}
	return nil
}
