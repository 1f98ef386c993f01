package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/stateward/stateward/backup/drill"
	"github.com/stateward/stateward/backup/pitr"
	execpitr "github.com/stateward/stateward/internal/exec/pitr"
)

// policy reads --plan where that is a policy of PostgreSQL; nil where it is a job. What is neither is an error.
func (f *drillFlags) policy() (*pitr.Policy, error) {
	if f.plan == "" {
		return nil, nil
	}
	text, err := readRegular(f.plan, maxConfig)
	if err != nil {
		return nil, nil // said where it is read for a job
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(text, &fields) != nil {
		return nil, nil
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { _, ok := fields[name]; return ok })
	}
	switch {
	case has("repository", "repositoryFile", "paths", "protocolVersion"):
		return nil, nil
	case has("cluster", "destination", "server"):
		p, err := readPITRPolicy(f.plan)
		return &p, err
	}
	return nil, withStatus(StatusEvaluation, &noDrillError{f.plan})
}

// noDrillError says that a file is nothing of which there can be a drill.
type noDrillError struct{ file string }

func (e *noDrillError) Error() string {
	return fmt.Sprintf("%s is neither a backup job nor a policy of PostgreSQL", e.file)
}

// Hint says what to name.
func (e *noDrillError) Hint() string {
	return "name what stateward backup run or stateward pitr window takes, such as /etc/stateward/backup/NAME.json or /etc/stateward/pitr/NAME.json"
}

func (f *drillFlags) runPITR(ctx context.Context, env Env, p pitr.Policy) error {
	if f.snapshot != "" {
		return withStatus(StatusUsage, errors.New("--snapshot is for a backup job only: of PostgreSQL --to names a moment"))
	}
	target, err := pitr.ParseTarget(f.to)
	if err != nil {
		return withStatus(StatusUsage, err)
	}
	if f.scratch == "" {
		f.scratch = filepath.Join(execpitr.DrillScratch, execpitr.PolicyName(p))
	}
	for _, dir := range []*string{&f.lockDir, &f.dir, &f.scratch} {
		if *dir, err = filepath.Abs(*dir); err != nil {
			return withStatus(StatusStep, err)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		return withStatus(StatusStep, err)
	}
	out := DrillOutput{ProtocolVersion: protocolVersion, Job: execpitr.DrillName(p), Due: true}
	if f.ifDue {
		if p.Drill == nil || p.Drill.Every == 0 {
			return withStatus(StatusEvaluation, fmt.Errorf("%s: the policy does not say how often there is to be a drill", f.plan))
		}
		every, err := p.Drill.Every.MarshalText()
		if err != nil {
			return withStatus(StatusEvaluation, err)
		}
		if due, err := f.due(env, &out, host, string(every)); err != nil || !due {
			return err
		}
	}
	o := execpitr.DrillOptions{Options: (&pitrFlags{quiet: true}).options(env), Dir: f.dir, LockDir: f.lockDir, Scratch: f.scratch, Host: host}
	if !f.quiet {
		o.Began = func(step string) { fmt.Fprintf(env.Stderr, "%s: %s\n", inLine(out.Job), inLine(step)) }
		o.Said = func(line string) { fmt.Fprintf(env.Stderr, "  %s\n", inLine(line)) }
	}
	// What was restored is removed, and what came of it written down, before an interrupt ends it.
	defer env.hold()()
	out.Record, out.File, err = execpitr.Drill(ctx, p, target, o)
	return f.told(env, out, err)
}

// printRecovery prints what a drill of PostgreSQL measured.
func printRecovery(w io.Writer, r *drill.Record) {
	x := r.Recovery
	seconds := func(s float64) time.Duration {
		return time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond)
	}
	fmt.Fprintf(w, "  base backup %s", inLine(r.Snapshot.ID))
	if !r.Snapshot.Time.IsZero() {
		fmt.Fprintf(w, " of %s", r.Snapshot.Time.UTC().Format("2006-01-02 15:04"))
	}
	if x.BaseBytes > 0 {
		fmt.Fprintf(w, ": %s in %s", size(x.BaseBytes), seconds(x.BaseSeconds))
	}
	fmt.Fprintf(w, "\n  log to %s: %s", inLine(x.Target), size(x.LogBytes))
	if x.LogSeconds > 0 {
		fmt.Fprintf(w, " in %s", seconds(x.LogSeconds))
	}
	fmt.Fprintln(w)
	if !x.Reached.IsZero() {
		fmt.Fprintf(w, "  last transaction of %s, %s before the drill\n", x.Reached.UTC().Format("2006-01-02 15:04:05"), seconds(x.RPOSeconds))
	}
}
