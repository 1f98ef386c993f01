package preseed

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/syntax/unit"
)

// UnitOptions say where things are on the machine. Stateward and Plan are required.
type UnitOptions struct {
	// Stateward is the program, Plan the file with the plan; both absolute.
	Stateward, Plan string
	// Path are the folders in which zfs, systemctl, ssh and restic are.
	Path []string
	// Remote tells that a source needs the network: see [Plan.Remote].
	Remote bool
	// Datasets are units that make or mount the dataset.
	Datasets []string
	// OnFailure are units that are started when a run fails.
	OnFailure []string
	// Digest tells from which plan the unit was written: see [Plan.Digest]. It may be empty.
	Digest string
}

// UnitPrefix begins the names of the units of plans.
const UnitPrefix = "stateward-preseed-"

// UnitName is that of the unit of the plan.
func (p Plan) UnitName() string { return UnitPrefix + p.Name + ".service" }

// StateDir is where records and journals lie.
const StateDir = "/var/lib/stateward/preseed"

// Unit is the text of the unit that runs the plan, before the units of the service.
func (p Plan) Unit(o UnitOptions) (string, error) {
	out, err := p.unit(o)
	if err != nil {
		return "", err
	}
	return unit.Write(out...)
}

func (p Plan) unit(o UnitOptions) ([]unit.Option, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	exec, err := unit.Exec(o.Stateward, "preseed", "run", o.Plan)
	if err != nil {
		return nil, err
	}
	var out []unit.Option
	add := func(section, name, value string) {
		out = append(out, unit.Option{Section: section, Name: name, Value: value})
	}
	add("Unit", "Description", unit.Specifiers(fmt.Sprintf("Restore %s where it is empty", p.Dataset)))
	after := slices.Concat([]string{"zfs-import.target", "zfs-load-key.service", "zfs-mount.service"}, o.Datasets)
	if o.Remote {
		add("Unit", "Wants", "network-online.target")
		after = append(after, "network-online.target")
	}
	slices.Sort(after)
	add("Unit", "After", strings.Join(slices.Compact(after), " "))
	units := slices.Sorted(slices.Values(p.Units))
	// A unit that is ordered before the file systems of the machine would wait for itself.
	add("Unit", "Before", strings.Join(slices.Compact(units), " "))
	failing := o.OnFailure
	if template := p.Notify.OnFailure; template != "" {
		failing = append([]string{backup.NotifyUnit(template, "%n")}, failing...)
	}
	for _, u := range failing {
		add("Unit", "OnFailure", u)
	}
	if o.Digest != "" {
		add("Unit", restic.DigestOption, o.Digest)
	}
	add("Service", "Type", "oneshot")
	// What depends on it is not held up by a second run.
	add("Service", "RemainAfterExit", "true")
	add("Service", "ExecStart", exec)
	if len(o.Path) > 0 {
		for _, dir := range o.Path {
			if reason := badPath(dir); reason != "" || strings.Contains(dir, ":") {
				return nil, &PlanError{p.Name, "PATH", fmt.Sprintf("has %q, which is no absolute folder", dir), ""}
			}
		}
		add("Service", "Environment", unit.Words("PATH="+strings.Join(o.Path, ":")))
	}
	add("Service", "StateDirectory", "stateward/preseed")
	add("Service", "StateDirectoryMode", "0700")
	// The run ends itself, and says why. A restore that takes a day is not cut off: with each start it would be cut off at the same place.
	add("Service", "TimeoutStartSec", "infinity")
	add("Service", "KillMode", "mixed")
	add("Service", "TimeoutStopSec", "60")
	// zfs mounts for the whole machine: nothing that gives the unit a name space of its own may stand here.
	add("Service", "NoNewPrivileges", "true")
	add("Service", "RestrictRealtime", "true")
	add("Service", "LockPersonality", "true")
	return out, nil
}

// DropIn is what a unit of the service gets: it starts only after a run that let it (E9).
func (p Plan) DropIn() (string, error) {
	if err := p.Validate(); err != nil {
		return "", err
	}
	return unit.Write(
		unit.Option{Section: "Unit", Name: "Requires", Value: p.UnitName()},
		unit.Option{Section: "Unit", Name: "After", Value: p.UnitName()},
	)
}

// reads tells whether a job backs the dataset up: without one of its paths in it, what would come back is something else.
func (p Plan) reads(j restic.Job) bool {
	return slices.ContainsFunc(j.Paths, func(dir string) bool {
		return dir == "/" || within(dir, p.Mountpoint) || within(p.Mountpoint, dir)
	})
}

// JobError says that a job of restic is not one of the dataset.
type JobError struct{ Plan, Job, Mountpoint string }

func (e *JobError) Error() string {
	return fmt.Sprintf("preseed %q: restic job %q backs up nothing of %s", e.Plan, e.Job, e.Mountpoint)
}

// Hint says what to do.
func (e *JobError) Hint() string {
	return "name the job that has the path of the dataset, or a part of it"
}

// CheckJob says whether a job of restic is one that backs the dataset up. The error is a *[JobError].
func (p Plan) CheckJob(j restic.Job) error {
	if !p.reads(j) {
		return &JobError{p.Name, j.Name, p.Mountpoint}
	}
	return nil
}

// ClusterError says that a cluster of PostgreSQL is not one that the dataset holds.
type ClusterError struct{ Plan, DataDir, Mountpoint, Reason string }

func (e *ClusterError) Error() string {
	return fmt.Sprintf("preseed %q: data directory %s %s %s", e.Plan, e.DataDir, e.Reason, e.Mountpoint)
}

// Hint says what to do.
func (e *ClusterError) Hint() string {
	return "name the policy of the cluster whose data directory, and log, lie in the dataset"
}

// CheckPolicy says whether a policy is that of a cluster which lies whole in the dataset. The error is a *[ClusterError].
func (p Plan) CheckPolicy(of pitr.Policy) error {
	if !within(p.Mountpoint, path.Clean(of.Cluster.DataDir)) {
		return &ClusterError{p.Name, of.Cluster.DataDir, p.Mountpoint, "does not lie below"}
	}
	if dir := of.Cluster.WALDir; dir != "" && !within(path.Clean(of.Cluster.DataDir), path.Clean(dir)) {
		return &ClusterError{p.Name, of.Cluster.DataDir, p.Mountpoint, "has its log in " + dir + ", which is not restored with what lies below"}
	}
	return nil
}
