package restic

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stateward/stateward"
)

// DefaultLockWait is how long a lock is waited for.
const DefaultLockWait = 10 * time.Minute

// common are the arguments of every command. No secret is in them: only where it is.
func (j Job) common(command string, lock bool) []string {
	args := []string{command, "--json"}
	if j.RepositoryFile != "" {
		args = append(args, "--repository-file="+j.RepositoryFile)
	} else {
		args = append(args, "--repo="+j.Repository)
	}
	if j.PasswordFile != "" {
		args = append(args, "--password-file="+j.PasswordFile)
	}
	if lock {
		args = append(args, "--retry-lock="+j.lockWait().String())
	}
	return append(args, j.limitArgs()...)
}

func (j Job) lockWait() time.Duration {
	if d, err := stateward.ParseDuration(j.LockWait); err == nil {
		return d.Std()
	}
	return DefaultLockWait
}

func (j Job) limitArgs() (args []string) {
	if n := j.Limits.Upload; n > 0 {
		args = append(args, "--limit-upload="+strconv.Itoa(n))
	}
	if n := j.Limits.Download; n > 0 {
		args = append(args, "--limit-download="+strconv.Itoa(n))
	}
	return args
}

// InitArgs make the repository. Nothing else does, and no run of a backup or of a restore: a repository that is missing is a fault
// there, and not a reason to begin with an empty one (R3).
func (j Job) InitArgs() []string { return j.common("init", false) }

// BackupArgs back up.
func (j Job) BackupArgs() []string {
	args := append(j.common("backup", true), "--host="+j.Host, j.groupBy())
	for _, tag := range j.OwnTags() {
		args = append(args, "--tag="+tag)
	}
	for _, p := range j.Exclude {
		args = append(args, "--exclude="+Reroot(j.Root(), p))
	}
	if j.SkipIfUnchanged {
		args = append(args, "--skip-if-unchanged")
	}
	if j.OneFileSystem {
		args = append(args, "--one-file-system")
	}
	if n := j.Limits.ReadConcurrency; n > 0 {
		args = append(args, "--read-concurrency="+strconv.Itoa(n))
	}
	args = append(args, "--")
	return append(args, j.storedPaths()...)
}

// groupBy says with which snapshot restic compares. Where none is made that equals it, it must be one of the job itself: of another job
// with the same paths, that of this one would never be made.
func (j Job) groupBy() string {
	if j.SkipIfUnchanged {
		return "--group-by=host,paths,tags"
	}
	return "--group-by=host,paths"
}

func (j Job) storedPaths() []string {
	out := make([]string, len(j.Paths))
	for i, p := range j.Paths {
		out[i] = j.Stored(p)
	}
	return out
}

// Reroot has a pattern match below root what it matches below "/" (R7): one that begins with "/" matches whole paths; any other matches
// at any place, and stays. "!", which takes back an earlier pattern, stays before it.
func Reroot(root, pattern string) string {
	not, rest := "", pattern
	if r, ok := strings.CutPrefix(pattern, "!"); ok {
		not, rest = "!", r
	}
	if root == "" || !strings.HasPrefix(rest, "/") {
		return pattern
	}
	return not + strings.TrimSuffix(root, "/") + rest
}

// ForgetArgs forget what the policy does not keep of the snapshots of this job, and of no other (R4): those of its host that have all of
// its tags and all of its paths. nil where there is no policy.
func (j Job) ForgetArgs(dryRun bool) []string {
	if j.Retention.ResticPolicy.IsZero() {
		return nil
	}
	args := j.common("forget", true)
	args = append(args, j.scope()...)
	policy := j.Retention.ResticPolicy
	if policy.GroupBy == nil {
		args = append(args, "--group-by=host,paths")
	}
	args = append(args, policy.Options()...)
	if dryRun {
		args = append(args, "--dry-run")
	}
	return args
}

// scope are the options that select the snapshots of the job.
func (j Job) scope() []string {
	args := []string{"--host=" + j.Host, "--tag=" + strings.Join(j.OwnTags(), ",")}
	for _, p := range j.storedPaths() {
		args = append(args, "--path="+p)
	}
	return args
}

// SnapshotsArgs list the snapshots of the job.
func (j Job) SnapshotsArgs() []string { return append(j.common("snapshots", true), j.scope()...) }

// PruneArgs free the room that nothing refers to any more.
func (j Job) PruneArgs() []string {
	return drop(j.common("prune", true), "--json") // it has none, and 0.18 refuses nothing: the text is for people
}

// CheckArgs check the structure of the repository, and the subset of its data.
func (j Job) CheckArgs() []string {
	args := j.common("check", true)
	if s := j.CheckSubset; s != "" && s != "0" {
		args = append(args, "--read-data-subset="+s)
	}
	return args
}

// UnlockArgs remove locks that are stale: of a process of this machine that is gone, or older than half an hour and not refreshed. Those of
// others who are at work stay: --remove-all never (R6).
func (j Job) UnlockArgs() []string { return drop(j.common("unlock", false), "--json") }

// WithoutWaiting are arguments with which restic waits for no lock.
func WithoutWaiting(args []string) []string {
	return slices.DeleteFunc(slices.Clone(args), func(a string) bool { return strings.HasPrefix(a, "--retry-lock=") })
}

func drop(args []string, what string) []string {
	var out []string
	for _, a := range args {
		if a != what {
			out = append(out, a)
		}
	}
	return out
}

// Restore says what to bring back.
type Restore struct {
	// Snapshot is its ID, or "latest" of the job.
	Snapshot string
	// Path is that of the machine, and one of the job's or below.
	Path string
	// File says that there is a file, and no folder.
	File bool
	// Target is a folder that is empty or missing: what is in Path comes to lie right in it. Whoever runs this sees to it (R5), and to
	// mode, owner and times of the target itself, which restic leaves as they are, or makes 0700.
	Target string
	// Root is what was recorded with the snapshot, where it is not the job's of today.
	Root *string
	// Verify reads what was written once more. Sparse writes no zeros.
	Verify, Sparse bool
	// NoCache reads all from the repository itself.
	NoCache bool
	// Resume goes on with what an earlier restore of the same snapshot left in the target: what lies there is compared with what should, and written over where it differs.
	Resume bool
}

// RestoreError says why there is no such restore.
type RestoreError struct{ Reason string }

func (e *RestoreError) Error() string { return "restore: " + e.Reason }

// RestoreArgs bring back. The content of the path is named by <snapshot>:<folder>, so that it lies in the target itself and not below the
// whole path once more (R2). Nothing is deleted, and but for [Restore.Resume] nothing that is there is written over (R5). The error is a *[RestoreError].
func (j Job) RestoreArgs(r Restore) ([]string, error) {
	fail := func(format string, args ...any) ([]string, error) {
		return nil, &RestoreError{fmt.Sprintf(format, args...)}
	}
	if r.Snapshot != "latest" && (len(r.Snapshot) < 8 || len(r.Snapshot) > 64 || strings.Trim(r.Snapshot, "0123456789abcdef") != "") {
		return fail("%q is no ID of a snapshot", r.Snapshot)
	}
	for _, p := range []string{r.Path, r.Target} {
		if reason := badPath(p); reason != "" {
			return fail("%q %s", p, reason)
		}
	}
	if r.Target == "/" {
		return fail("the target is the root of the file system")
	}
	held := false
	for _, p := range j.Paths {
		held = held || within(p, r.Path)
	}
	if !held {
		return fail("%q is not in job %q", r.Path, j.Name)
	}
	root := j.Root()
	if r.Root != nil {
		root = *r.Root
	}
	stored := Stored(root, r.Path)
	args := j.common("restore", true)
	if r.Snapshot == "latest" {
		if root != j.Root() {
			return fail("the latest snapshot is that of the job as it is today, and another root is given")
		}
		args = append(args, j.scope()...)
	}
	if r.File {
		args = append(args, "--include=/"+escape(path.Base(stored)))
		stored = path.Dir(stored)
	}
	overwrite := "never"
	if r.Resume {
		overwrite = "always"
	}
	args = append(args, "--target="+r.Target, "--overwrite="+overwrite)
	if r.Verify {
		args = append(args, "--verify")
	}
	if r.NoCache {
		args = append(args, "--no-cache")
	}
	if r.Sparse {
		args = append(args, "--sparse")
	}
	return append(args, "--", r.Snapshot+":"+stored), nil
}

// escape has a pattern match the text itself.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(s)
}
