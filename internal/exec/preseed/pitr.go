//go:build unix

package preseed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
	execpitr "github.com/stateward/stateward/internal/exec/pitr"
	"github.com/stateward/stateward/preseed"
)

// pitrPolicy reads the policy of the cluster.
func (r *runner) pitrPolicy(s preseed.Source) (pitr.Policy, error) {
	text, err := os.ReadFile(s.Policy)
	if err != nil {
		return pitr.Policy{}, err
	}
	p, err := pitr.ReadPolicy(text, stateward.ZoneFunc(time.LoadLocation))
	if err != nil {
		return p, fmt.Errorf("%s: %w", s.Policy, err)
	}
	return p, r.plan.CheckPolicy(p)
}

func (r *runner) pitrOptions() execpitr.Options {
	return execpitr.Options{Env: r.o.Env, Now: r.o.Now}
}

// refusal turns what no later run would find otherwise into a *[rejected].
func refusal(err error) error {
	var (
		cluster  *preseed.ClusterError
		mixed    *pitr.MixedError
		outside  *pitr.OutsideError
		prefix   *pitr.PrefixError
		provider *pitr.ProviderError
		root     *execpitr.RootError
		space    *execpitr.TablespaceError
		taken    *pitr.DataDirError
	)
	for _, as := range []any{&cluster, &mixed, &outside, &prefix, &provider, &root, &space, &taken} {
		if errors.As(err, as) {
			return &rejected{reason: err.Error()}
		}
	}
	return err
}

// recovered is the end of a server name that a recovery gave.
var recovered = regexp.MustCompile(`-t[0-9]+$`)

// toEnd is what follows the base backup in the ID of a candidate: to where its log is replayed.
const toEnd = "@end"

// askPITR asks an archive. It has nothing only where its store lists nothing below the server's name (E7).
func (r *runner) askPITR(ctx context.Context, s preseed.Source) ([]preseed.Candidate, error) {
	p, err := r.pitrPolicy(s)
	if err != nil {
		return nil, refusal(err)
	}
	// What is planned is a recovery into a place where nothing is: what is asked for is whether it could be done.
	p.Cluster.DataDir = filepath.Join(r.aside(), "nothing")
	res, err := execpitr.Plan(ctx, p, pitr.Target{}, r.pitrOptions())
	var empty *execpitr.EmptyError
	if at := recovered.FindString(p.Server); at != "" && errors.As(err, &empty) {
		// Nothing was archived since a recovery: what there is lies below the name from before it.
		return nil, &rejected{reason: fmt.Sprintf("%v; it is the name of a cluster that was recovered, and what was archived before that lies below another, such as %s", empty, strings.TrimSuffix(p.Server, at))}
	}
	if errors.As(err, &empty) {
		return nil, nil
	}
	if err != nil {
		return nil, refusal(err)
	}
	to := toEnd
	if at := r.policy().At; !at.IsZero() && res.Plan.Range.To.After(at) {
		if res, err = execpitr.Plan(ctx, p, pitr.Target{Time: at}, r.pitrOptions()); err != nil {
			return nil, refusal(err)
		}
		to = "@" + at.UTC().Format(time.RFC3339Nano)
	}
	b := res.Plan.Backup
	if len(b.Tablespaces) > 0 {
		return nil, &rejected{reason: fmt.Sprintf("base backup %s has tablespaces, such as %s in %s: a preseed fills one dataset", b.ID, b.Tablespaces[0].Name, b.Tablespaces[0].Location)}
	}
	at := res.Plan.Range.To
	if to != toEnd {
		at = res.Plan.Target.Time
	}
	if at.IsZero() {
		return nil, &rejected{reason: fmt.Sprintf("nobody knows of when the log after base backup %s is", b.ID)}
	}
	return []preseed.Candidate{{ID: b.ID + to, Name: "base backup " + b.ID + " with the log after it", Time: at.UTC(), Bytes: b.Size}}, nil
}

// fillPITR makes a dataset and recovers the cluster into it, at the place below it where its data directory is below the mountpoint. Log that was archived meanwhile
// comes along.
func (r *runner) fillPITR(ctx context.Context, j *preseed.Journal) error {
	s := r.source(preseed.PITR)
	if s.Policy == "" {
		return &rejected{reason: "the plan has no archive of PostgreSQL any more"}
	}
	p, err := r.pitrPolicy(s)
	if err != nil {
		return refusal(err)
	}
	id, to, _ := strings.Cut(j.Candidate.ID, "@")
	var target pitr.Target
	if "@"+to != toEnd {
		if target, err = pitr.ParseTarget(to); err != nil {
			return fmt.Errorf("the candidate %s: %w", id, err)
		}
	}
	if err := r.create(ctx, j); err != nil {
		return err
	}
	return r.staged(ctx, *j, func(dir string) error {
		if err := r.recoverInto(ctx, p, target, dir); err != nil {
			return errors.Join(refusal(err), full(dir))
		}
		return r.validate(ctx, dir)
	})
}

// recoverInto recovers a cluster below what stands for the mountpoint. Nothing is left there but the cluster.
func (r *runner) recoverInto(ctx context.Context, p pitr.Policy, target pitr.Target, dir string) error {
	rel, err := filepath.Rel(r.plan.Mountpoint, filepath.Clean(p.Cluster.DataDir))
	if err != nil {
		return err
	}
	p.Cluster.DataDir = filepath.Join(dir, rel)
	// The folders between are the user's of the cluster, as its own is.
	var between []string
	for at := filepath.Dir(p.Cluster.DataDir); rel != "." && at != dir; at = filepath.Dir(at) {
		between = append(between, at)
	}
	for _, at := range slices.Backward(between) {
		if err := os.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := execpitr.Give(p, at); err != nil {
			return err
		}
	}
	if rel != "." {
		// PostgreSQL reaches its folder through the top of the dataset, which gets its own owner and mode at the end.
		if err := os.Chmod(dir, 0o711); err != nil {
			return err
		}
	}
	if _, err := execpitr.Recover(ctx, p, target, r.pitrOptions()); err != nil {
		return err
	}
	if rel != "." {
		return os.Chmod(dir, 0o755)
	}
	return nil
}
