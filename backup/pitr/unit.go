package pitr

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/internal/syntax/unit"
)

// PlanDir is where the files with policies lie, StateDir what is known of their runs, in a folder for each cluster.
const (
	PlanDir  = "/etc/stateward/pitr"
	StateDir = "/var/lib/stateward/pitr"
)

// DigestOption is an option of the units of a policy that systemd passes over: its value tells from which policy they were written.
const DigestOption = "X-Stateward-Job"

// UnitPrefix begins the names of the units of policies.
const UnitPrefix = "stateward-pitr-"

// PlanFile is the file with the policy of a cluster.
func (p Policy) PlanFile() string { return PlanDir + "/" + p.Cluster.Name + ".json" }

// Write is the text of a policy, as its file has it.
func (p Policy) Write() ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(p, "", "  ")
	return append(text, '\n'), err
}

// ServerCommand writes a command as archive_command has it: for sh, with every "%" doubled but in "%p" and "%f" alone.
func ServerCommand(argv []string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@+,="
	out := make([]string, len(argv))
	for i, a := range argv {
		switch {
		case a == "%f" || a == "%p":
			out[i] = `"` + a + `"`
		case a != "" && strings.Trim(a, plain) == "":
			out[i] = a
		default:
			out[i] = "'" + strings.ReplaceAll(strings.ReplaceAll(a, "'", `'\''`), "%", "%%") + "'"
		}
	}
	return strings.Join(out, " ")
}

// Tools are those of the provider on a machine.
type Tools struct {
	// Dir is where they lie there: archive_command names its tool in full.
	Dir string
	// Flags are what the installed ones name, see [NewProvider].
	Flags map[string]Flags
}

// Settings are those of the server by which it archives as the policy says. The error is that of the provider.
func (p Policy) Settings(t Tools) ([]Setting, error) {
	provider, err := NewProvider(p, t.Flags)
	if err != nil {
		return nil, err
	}
	argv, err := provider.WALArchive(p, "%p")
	if err != nil {
		return nil, err
	}
	argv[0] = path.Join(t.Dir, argv[0])
	return slices.Insert(p.settings(), 1, Setting{"archive_command", ServerCommand(argv)}), nil
}

// ArchivesBy tells whether a command archives as the policy says, wherever its tool lies.
func (p Policy) ArchivesBy(command string) bool {
	settings, err := p.Settings(Tools{})
	if err != nil {
		return false
	}
	call := func(command string) []string {
		list, ok := words(command)
		at := slices.IndexFunc(list, func(w string) bool { return path.Base(w) == ToolWALArchive })
		if !ok || at < 0 {
			return nil
		}
		list = slices.Clone(list[at+1:])
		for i, w := range list {
			if name, ok := strings.CutPrefix(w, "--aws-profile="); ok {
				list[i] = "--profile=" + name
			}
		}
		return list
	}
	has := call(command)
	return has != nil && slices.Equal(has, call(settings[1].Value)) && len(CommandFaults(command)) == 0
}

// unitRunes are what the name of a unit is made of, with its specifiers.
const unitRunes = `abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:@\%`

// UnitOptions say where things are on the machine. Stateward is required, and absolute.
type UnitOptions struct {
	Stateward string
	// Path are the folders in which the tools of the provider and those of the server are.
	Path []string
	// OnFailure are units that are started when a run fails.
	OnFailure []string
	// Digest tells from which policy the units were written.
	Digest string
}

// Unit is one service with its timer.
type Unit struct {
	// Job is "backup", "retain", "check" or "drill"; Name has no suffix.
	Job, Name      string
	service, timer []unit.Option
}

// Service and Timer are the texts of the unit files.
func (u Unit) Service() (string, error) { return unit.Write(u.service...) }

// Timer is the text of the timer.
func (u Unit) Timer() (string, error) { return unit.Write(u.timer...) }

// Jobs are what is to run for a policy: "backup" and "check" always, "retain" where there is a window, and "drill" where it says how often.
func (p Policy) Jobs() []string {
	out := []string{"backup", "check"}
	if p.Window > 0 {
		out = append(out, "retain")
	}
	if p.Drill != nil && p.Drill.Every > 0 {
		out = append(out, "drill")
	}
	return out
}

// UnitName is that of the units of one of the jobs, without ".service" and ".timer".
func (p Policy) UnitName(job string) string { return UnitPrefix + job + "-" + p.Cluster.Name }

// Units are the services and timers of a policy.
func (p Policy) Units(o UnitOptions) ([]Unit, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	for _, dir := range o.Path {
		if !path.IsAbs(dir) || strings.Contains(dir, ":") {
			return nil, &PolicyError{"PATH", fmt.Sprintf("has %q, which is no absolute folder", dir), ""}
		}
	}
	var out []Unit
	for _, job := range p.Jobs() {
		u, err := p.unit(job, o)
		if err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, nil
}

func (p Policy) unit(job string, o UnitOptions) (u Unit, err error) {
	u = Unit{Job: job, Name: p.UnitName(job)}
	about := map[string]string{"backup": "Make a base backup of %s", "check": "Look whether %s can be recovered", "retain": "Remove what of %s is no longer kept", "drill": "Recovery drill of %s"}[job]
	words := []string{o.Stateward, "pitr", job, p.PlanFile()}
	switch job {
	case "retain":
		words = append(words, "--yes")
	case "drill":
		words = []string{o.Stateward, "drill", "--plan", p.PlanFile(), "--if-due", "--quiet"}
	}
	exec, err := unit.Exec(words...)
	if err != nil {
		return u, err
	}
	add := func(section, name, value string) {
		u.service = append(u.service, unit.Option{Section: section, Name: name, Value: value})
	}
	add("Unit", "Description", unit.Specifiers(fmt.Sprintf(about, p.Cluster.Name)))
	after := []string{"network-online.target"}
	add("Unit", "Wants", "network-online.target")
	if job != "drill" && p.Cluster.Unit != "" {
		// While a cluster is down it may be being recovered: no timer starts it, and nothing is removed from its archive.
		add("Unit", "Requisite", p.Cluster.Unit)
		after = append(after, p.Cluster.Unit)
	}
	add("Unit", "After", strings.Join(after, " "))
	failing := slices.Clone(o.OnFailure)
	for _, f := range failing {
		// "%" is let through: the name of the unit that failed is a specifier.
		if f == "" || strings.Trim(f, unitRunes) != "" || !strings.HasSuffix(f, ".service") && !strings.HasSuffix(f, ".target") {
			return u, &PolicyError{"OnFailure", fmt.Sprintf("has %q, which is no unit", f), "name a service or a target, such as notify@%n.service"}
		}
	}
	if n := p.Notify.OnFailure; n != "" {
		failing = append(failing, backup.NotifyUnit(n, "%n"))
	}
	for _, f := range failing {
		add("Unit", "OnFailure", f)
	}
	// Of what only looks nobody is told where it is well.
	if job == "backup" {
		if n := p.Notify.OnStart; n != "" {
			add("Unit", "Wants", backup.NotifyUnit(n, "%n"))
		}
		if n := p.Notify.OnSuccess; n != "" {
			add("Unit", "OnSuccess", backup.NotifyUnit(n, "%n"))
		}
	}
	if o.Digest != "" {
		add("Unit", DigestOption, o.Digest)
	}
	add("Service", "Type", "oneshot")
	add("Service", "ExecStart", exec)
	// A drill is given its folders by root, and starts its server as the user of the cluster.
	if p.Cluster.User != "" && job != "drill" {
		add("Service", "User", unit.Specifiers(p.Cluster.User))
	}
	if len(o.Path) > 0 {
		add("Service", "Environment", unit.Words("PATH="+strings.Join(o.Path, ":")))
	}
	if job == "drill" {
		add("Service", "StateDirectory", "stateward/drill")
		add("Service", "CacheDirectory", "stateward/pitr-drill")
		add("Service", "CacheDirectoryMode", "0711")
		add("Service", "RuntimeDirectory", "stateward")
		add("Service", "RuntimeDirectoryMode", "0700")
		add("Service", "RuntimeDirectoryPreserve", "true")
	} else {
		// systemd gives it to the user of the unit, and another cluster may have another.
		add("Service", "StateDirectory", "stateward/pitr/"+unit.Specifiers(p.Cluster.Name))
	}
	add("Service", "StateDirectoryMode", "0700")
	// Whatever a run does wrong, live data is read-only to it.
	add("Service", "ProtectSystem", "strict")
	if p.MetricsDir != "" {
		add("Service", "ReadWritePaths", unit.Words("-"+p.MetricsDir))
	}
	if s := p.Cluster.Socket; !within("/tmp", s) && !within("/var/tmp", s) {
		add("Service", "PrivateTmp", "true")
	} else {
		// The socket has to be seen, and barman-cloud keeps there what it sends.
		add("Service", "ReadWritePaths", "/tmp /var/tmp")
	}
	add("Service", "NoNewPrivileges", "true")
	add("Service", "RestrictRealtime", "true")
	add("Service", "LockPersonality", "true")
	add("Service", "KillMode", "mixed")
	add("Service", "TimeoutStopSec", "60")
	add("Service", "Nice", "10")
	add("Service", "IOSchedulingClass", "idle")

	calendar, delay := []string{"hourly"}, "15min"
	switch job {
	case "backup":
		calendar = p.Schedule
	case "retain":
		calendar, delay = []string{"daily"}, "1h"
	case "drill":
		d := backup.Drill{Every: durationText(p.Drill.Every)}
		calendar[0], delay = d.Calendar()
	}
	if len(calendar) == 0 {
		return u, &PolicyError{"schedule", "is missing", `write "schedule": ["daily"]`}
	}
	when := map[string]string{"backup": "When to make a base backup of %s", "check": "When to look whether %s can be recovered", "retain": "When to remove what of %s is no longer kept", "drill": "When to look whether a recovery drill of %s is due"}[job]
	u.timer = []unit.Option{{Section: "Unit", Name: "Description", Value: unit.Specifiers(fmt.Sprintf(when, p.Cluster.Name))}}
	for _, c := range calendar {
		u.timer = append(u.timer, unit.Option{Section: "Timer", Name: "OnCalendar", Value: c})
	}
	u.timer = append(u.timer, unit.Option{Section: "Timer", Name: "RandomizedDelaySec", Value: delay}, unit.Option{Section: "Timer", Name: "Persistent", Value: "true"},
		unit.Option{Section: "Install", Name: "WantedBy", Value: "timers.target"})
	return u, nil
}

func durationText(s Span) string {
	text, err := s.MarshalText()
	if err != nil {
		return fmt.Sprintf("%ds", int(s.Std()/time.Second))
	}
	return string(text)
}

// within tells whether a path is a folder, or lies below it.
func within(dir, at string) bool { return at == dir || strings.HasPrefix(at, dir+"/") }

// serverDropIn is what the unit of the server gets: the files of secrets, by their paths.
func (p Policy) serverDropIn() (out []unit.Option) {
	if p.EnvironmentFile != "" {
		out = append(out, unit.Option{Section: "Service", Name: "EnvironmentFile", Value: unit.Specifiers(p.EnvironmentFile)})
	}
	if p.CredentialsFile != "" {
		out = append(out, unit.Option{Section: "Service", Name: "Environment", Value: unit.Words("AWS_SHARED_CREDENTIALS_FILE=" + p.CredentialsFile)})
	}
	return out
}

// DropIn is the text of a drop-in for the unit of the server, with the files of secrets that archive_command needs; empty where there are none.
func (p Policy) DropIn() (string, error) {
	if len(p.serverDropIn()) == 0 {
		return "", nil
	}
	return unit.Write(p.serverDropIn()...)
}

// NotifyUnits are the files of the units that policies have started to send notifications, sorted.
func NotifyUnits(list []Planned) []string {
	var out []string
	for _, o := range list {
		if o.Policy == nil {
			continue
		}
		for _, template := range []string{o.Policy.Notify.OnStart, o.Policy.Notify.OnSuccess, o.Policy.Notify.OnFailure} {
			if template != "" {
				out = append(out, backup.NotifyUnit(template, ""))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
