package restic

import (
	"fmt"
	"strings"

	"github.com/stateward/stateward/internal/syntax/unit"
)

// DrillUnitName is that of the units of the drill of the job, without ".service" and ".timer".
func (j Job) DrillUnitName() string { return "stateward-drill-" + j.Name }

// DrillUnits are the texts of the unit that does restore drills of the job, and of its timer: never one without the other, since a drill that nothing
// starts proves nothing (R13). The job must say every when. The unit may write to the folders of drills only, to scratch where that is not
// empty, and to a repository on this machine, which restic locks.
func (j Job) DrillUnits(o UnitOptions, scratch string) (service, timer string, err error) {
	if err := j.Validate(); err != nil {
		return "", "", err
	}
	if j.Drill == nil || j.Drill.Every == "" {
		return "", "", &JobError{j.Name, "drill", "does not say how often", `set "drill": {"every": "30d"}`}
	}
	words := []string{o.Stateward, "drill", "--plan", o.Plan, "--if-due", "--quiet"}
	if scratch != "" {
		if reason := badPath(scratch); reason != "" {
			return "", "", &JobError{j.Name, "scratch", fmt.Sprintf("is %q, which %s", scratch, reason), ""}
		}
		words = append(words, "--scratch", scratch)
	}
	exec, err := unit.Exec(words...)
	if err != nil {
		return "", "", err
	}
	repo := Repository{Scheme: "file"} // what the file says is not known here
	if j.Repository != "" {
		if repo, err = ParseRepository(j.Repository); err != nil {
			return "", "", err
		}
	}
	var out []unit.Option
	add := func(section, name, value string) {
		out = append(out, unit.Option{Section: section, Name: name, Value: value})
	}
	add("Unit", "Description", unit.Specifiers("Restore drill of "+j.Name))
	if repo.Scheme != "local" {
		add("Unit", "Wants", "network-online.target")
		add("Unit", "After", "network-online.target")
	}
	if repo.Path != "" {
		add("Unit", "RequiresMountsFor", unit.Words(repo.Path))
	}
	for _, u := range o.OnFailure {
		if u == "" || strings.Trim(u, nameRunes+`:@\%`) != "" || !strings.HasSuffix(u, ".service") && !strings.HasSuffix(u, ".target") {
			return "", "", &JobError{j.Name, "OnFailure", fmt.Sprintf("has %q, which is no unit", u), ""}
		}
		add("Unit", "OnFailure", u)
	}
	add("Service", "Type", "oneshot")
	add("Service", "ExecStart", exec)
	if len(o.Path) > 0 {
		for _, p := range o.Path {
			if reason := badPath(p); reason != "" || strings.Contains(p, ":") {
				return "", "", &JobError{j.Name, "PATH", fmt.Sprintf("has %q, which is no absolute folder", p), ""}
			}
		}
		add("Service", "Environment", unit.Words("PATH="+strings.Join(o.Path, ":")))
	}
	add("Service", "StateDirectory", "stateward/drill")
	add("Service", "StateDirectoryMode", "0700")
	add("Service", "CacheDirectory", "stateward/drill")
	add("Service", "CacheDirectoryMode", "0700")
	add("Service", "RuntimeDirectory", "stateward")
	add("Service", "RuntimeDirectoryMode", "0700")
	add("Service", "RuntimeDirectoryPreserve", "true")
	// Whatever a drill does wrong, live data is read-only to it.
	add("Service", "ProtectSystem", "strict")
	var write []string
	if scratch != "" {
		write = append(write, scratch)
	}
	if repo.Path != "" {
		write = append(write, repo.Path)
	}
	if len(write) > 0 {
		add("Service", "ReadWritePaths", unit.Words(write...))
	}
	add("Service", "PrivateTmp", "true")
	add("Service", "NoNewPrivileges", "true")
	add("Service", "KillMode", "mixed")
	add("Service", "TimeoutStopSec", "60")
	nice := j.Limits.Nice
	if nice == 0 {
		nice = 19
	}
	add("Service", "Nice", fmt.Sprint(nice))
	add("Service", "IOSchedulingClass", "idle")
	for _, s := range []struct{ name, value string }{{"MemoryMax", j.Limits.Memory}, {"CPUQuota", j.Limits.CPU}, {"TimeoutStartSec", j.Limits.RunTime}} {
		if s.value != "" {
			add("Service", s.name, s.value)
		}
	}
	if service, err = unit.Write(out...); err != nil {
		return "", "", err
	}
	calendar, delay := j.Drill.Calendar()
	timer, err = unit.Write(
		unit.Option{Section: "Unit", Name: "Description", Value: unit.Specifiers("When to look whether a restore drill of " + j.Name + " is due")},
		unit.Option{Section: "Timer", Name: "OnCalendar", Value: calendar},
		unit.Option{Section: "Timer", Name: "RandomizedDelaySec", Value: delay},
		unit.Option{Section: "Timer", Name: "Persistent", Value: "true"},
		unit.Option{Section: "Install", Name: "WantedBy", Value: "timers.target"})
	return service, timer, err
}
