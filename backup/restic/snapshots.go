package restic

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Snapshot is one of a repository, as `restic snapshots --json` has it.
type Snapshot struct {
	ID string `json:"id"`
	// Original is the one that this was made of, by `restic tag`, rewrite or copy; empty where it is one that a backup made.
	Original string `json:"original"`
	// Time is when its backup began.
	Time    time.Time `json:"time"`
	Host    string    `json:"hostname"`
	Paths   []string  `json:"paths"`
	Tags    []string  `json:"tags"`
	Program string    `json:"program_version"`
	// Summary is nil for one that restic 0.16 or an older one made.
	Summary *Summary `json:"summary"`
}

// Summary is what restic counted as it made a snapshot.
type Summary struct {
	Files int64     `json:"total_files_processed"`
	Bytes int64     `json:"total_bytes_processed"`
	Added int64     `json:"data_added_packed"`
	Begin time.Time `json:"backup_start"`
	End   time.Time `json:"backup_end"`
}

// ParseSnapshots reads the answer to [Job.ListArgs], and orders it by time, the oldest first.
func ParseSnapshots(text []byte) ([]Snapshot, error) {
	var out []Snapshot
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("what restic says are snapshots: %w", err)
	}
	if out == nil {
		// What is no list is no answer: an empty one is "[]" in 0.18, and "null" in none (E7).
		return nil, fmt.Errorf("what restic says are snapshots is %q", strings.TrimSpace(string(text[:min(len(text), 40)])))
	}
	for _, s := range out {
		if !isID(s.ID) || s.Time.IsZero() {
			return nil, fmt.Errorf("what restic says are snapshots has %q of %s", s.ID, s.Time)
		}
	}
	slices.SortStableFunc(out, func(a, b Snapshot) int { return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.ID, b.ID)) })
	return out, nil
}

// Is says whether a snapshot is the one with an ID, or was made of it, as `restic tag` does, which removes that.
func (s Snapshot) Is(id string) bool { return s.ID == id || s.Original == id && id != "" }

// Root is the folder below which the paths lie in the snapshot, as its tag says (R2).
func (s Snapshot) Root() string {
	for _, tag := range s.Tags {
		if root, ok := strings.CutPrefix(tag, RootTag); ok {
			return root
		}
	}
	return ""
}

// Owns says whether a snapshot is one of the job as it is today: those that [Job.ForgetArgs] looks at.
func (j Job) Owns(s Snapshot) bool {
	if s.Host != j.Host {
		return false
	}
	for _, tag := range j.OwnTags() {
		if !slices.Contains(s.Tags, tag) {
			return false
		}
	}
	for _, p := range j.storedPaths() {
		if !slices.Contains(s.Paths, p) {
			return false
		}
	}
	return true
}

// ListArgs list all snapshots that have the tag of the job, those of other hosts and of other paths too. Nothing is locked.
func (j Job) ListArgs() []string {
	return append(j.common("snapshots", false), "--no-lock", "--tag="+JobTag+j.Name)
}

// LocksArgs list the locks of the repository, LockArgs show one. Nothing is locked.
func (j Job) LocksArgs() []string {
	return append(drop(j.common("list", false), "--json"), "--no-lock", "--", "locks")
}

// HeldArgs list what the repository holds of a kind: "snapshots" of all jobs, or "packs", the data. Nothing is locked.
func (j Job) HeldArgs(kind string) []string {
	return append(drop(j.common("list", false), "--json"), "--no-lock", "--", kind)
}

// LockArgs show a lock.
func (j Job) LockArgs(id string) []string {
	return append(drop(j.common("cat", false), "--json"), "--no-lock", "--", "lock", id)
}

// StaleAfter is how old a lock is at least that restic itself takes for stale: who works renews its own every five minutes.
const StaleAfter = 30 * time.Minute

// Lock is what restic writes down of who works on a repository.
type Lock struct {
	ID        string    `json:"id"`
	Time      time.Time `json:"time"`
	Exclusive bool      `json:"exclusive"`
	Host      string    `json:"hostname"`
	User      string    `json:"username"`
	PID       int       `json:"pid"`
}

// ParseLocks reads the IDs that `restic list locks` prints.
func ParseLocks(text []byte) ([]string, error) {
	ids := strings.Fields(string(text))
	for _, id := range ids {
		if !isID(id) {
			return nil, fmt.Errorf("what restic says are locks has %q", id)
		}
	}
	return ids, nil
}

// ParseLock reads what `restic cat lock` prints.
func ParseLock(id string, text []byte) (Lock, error) {
	l := Lock{}
	if err := json.Unmarshal(text, &l); err != nil || l.Time.IsZero() {
		return Lock{}, fmt.Errorf("lock %s of the repository cannot be read", id[:8])
	}
	l.ID = id
	return l, nil
}

// ListFilesArgs list all that is in a snapshot, line by line. The repository itself is read, and not what is cached of it.
func (j Job) ListFilesArgs(id string) []string {
	return append(j.common("ls", true), "--no-cache", "--", id)
}

// Node is one line of that: a file, folder, link or the like.
type Node struct {
	Type string `json:"type"`
	// Path is that in the repository. Bytes that are no UTF-8 are U+FFFD.
	Path string `json:"path"`
	Size int64  `json:"size"`
}

// ParseNode reads a line of the answer to [Job.ListFilesArgs]; ok is false for one that is of no file, such as that of the snapshot.
func ParseNode(line []byte) (n Node, ok bool, err error) {
	var raw struct {
		Message string `json:"message_type"`
		Struct  string `json:"struct_type"`
		Node
	}
	if err := json.Unmarshal(line, &raw); err != nil {
		return Node{}, false, fmt.Errorf("what restic says is in a snapshot: %w", err)
	}
	if raw.Message != "node" && raw.Struct != "node" {
		return Node{}, false, nil
	}
	return raw.Node, true, nil
}

func isID(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }
