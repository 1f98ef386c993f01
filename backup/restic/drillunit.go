package restic

import (
	"fmt"
	"strings"

	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/internal/syntax/unit"
)

// DrillUnitPrefix begins the names of the units of drills.
const DrillUnitPrefix = "stateward-drill-"

// DrillUnitName is that of the units of the drill of the job, without ".service" and ".timer".
func (j Job) DrillUnitName() string { return DrillUnitPrefix + j.Name }

// DrillsByTimer says whether the job asks for drills that something starts.
func (j Job) DrillsByTimer() bool { return j.Drill != nil && j.Drill.Every != "" }

// DrillUnits are the texts of the unit that does restore drills of the job, and of its timer: never one without the other, since a drill that nothing
// starts proves nothing (R13). The job must say every when. The unit may write to the folders of drills only, to scratch where that is not
// empty, and to a repository on this machine, which restic locks. A drill that does not pass sends what the job sends of a run that fails.
func (j Job) DrillUnits(o UnitOptions, scratch string) (service, timer string, err error) {
	one, other, err := j.drillUnits(o, scratch)
	if err != nil {
		return "", "", err
	}
	if service, err = unit.Write(one...); err != nil {
		return "", "", err
	}
	timer, err = unit.Write(other...)
	return service, timer, err
}

func (j Job) drillUnits(o UnitOptions, scratch string) (service, timer []unit.Option, err error) {
	if err := j.Validate(); err != nil {
		return nil, nil, err
	}
	if !j.DrillsByTimer() {
		return nil, nil, &JobError{j.Name, "drill", "does not say how often", `set "drill": {"every": "30d"}`}
	}
	words := []string{o.Stateward, "drill", "--plan", o.Plan, "--if-due", "--quiet"}
	if scratch != "" {
		if reason := badPath(scratch); reason != "" {
			return nil, nil, &JobError{j.Name, "scratch", fmt.Sprintf("is %q, which %s", scratch, reason), ""}
		}
		words = append(words, "--scratch", scratch)
	}
	exec, err := unit.Exec(words...)
	if err != nil {
		return nil, nil, err
	}
	repo := Repository{Scheme: "file"} // what the file says is not known here
	if j.Repository != "" {
		if repo, err = ParseRepository(j.Repository); err != nil {
			return nil, nil, err
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
			return nil, nil, &JobError{j.Name, "OnFailure", fmt.Sprintf("has %q, which is no unit", u), ""}
		}
		add("Unit", "OnFailure", u)
	}
	if n := j.Notify.OnFailure; n != "" {
		add("Unit", "OnFailure", backup.NotifyUnit(n, "%n"))
	}
	add("Service", "Type", "oneshot")
	add("Service", "ExecStart", exec)
	if len(o.Path) > 0 {
		for _, p := range o.Path {
			if reason := badPath(p); reason != "" || strings.Contains(p, ":") {
				return nil, nil, &JobError{j.Name, "PATH", fmt.Sprintf("has %q, which is no absolute folder", p), ""}
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
	calendar, delay := j.Drill.Calendar()
	return out, []unit.Option{
		{Section: "Unit", Name: "Description", Value: unit.Specifiers("When to look whether a restore drill of " + j.Name + " is due")},
		{Section: "Timer", Name: "OnCalendar", Value: calendar},
		{Section: "Timer", Name: "RandomizedDelaySec", Value: delay},
		{Section: "Timer", Name: "Persistent", Value: "true"},
		{Section: "Install", Name: "WantedBy", Value: "timers.target"},
	}, nil
}
