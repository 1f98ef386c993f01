package nixbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stateward/stateward/internal/run"
	"github.com/stateward/stateward/internal/storepath"
)

// lockedInput is one node of a flake.lock that has a tree of its own.
type lockedInput struct {
	name      string
	storePath string
	missing   bool
	// marks are texts by which nix' own message names the input: its revision, its address.
	marks []string
}

// lockFile mirrors flake.lock, versions 5 to 7 (nix, src/libflake/lockfile.cc).
type lockFile struct {
	Version int                 `json:"version"`
	Root    string              `json:"root"`
	Nodes   map[string]lockNode `json:"nodes"`
}

type lockNode struct {
	Locked *struct {
		Type    string `json:"type"`
		NarHash string `json:"narHash"`
		Owner   string `json:"owner"`
		Repo    string `json:"repo"`
		Rev     string `json:"rev"`
		URL     string `json:"url"`
	} `json:"locked"`
}

// LockFileError says that a flake.lock cannot be read.
type LockFileError struct {
	File string
	Err  error
}

func (e *LockFileError) Error() string { return fmt.Sprintf("%s: %v", e.File, e.Err) }
func (e *LockFileError) Unwrap() error { return e.Err }

// Hint says how to mend it.
func (e *LockFileError) Hint() string { return "write it anew with `nix flake lock`" }

func readLock(file string) ([]lockedInput, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &LockFileError{file, err}
	}
	inputs, err := parseLock(text)
	if err != nil {
		return nil, &LockFileError{file, err}
	}
	return inputs, nil
}

// parseLock lists the inputs that are identified by the hash of their tree, sorted by name.
func parseLock(text []byte) ([]lockedInput, error) {
	var l lockFile
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, err
	}
	if l.Version < 5 || l.Version > 7 {
		return nil, fmt.Errorf("version %d of the lock file is not known", l.Version)
	}
	var inputs []lockedInput
	for name, n := range l.Nodes {
		// Relative paths within the flake have no hash.
		if name == l.Root || n.Locked == nil || n.Locked.NarHash == "" {
			continue
		}
		path, err := sourceStorePath(n.Locked.NarHash)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", name, err)
		}
		in := lockedInput{name: name, storePath: path}
		for _, m := range []string{n.Locked.Rev, n.Locked.URL, n.Locked.Owner + "/" + n.Locked.Repo} {
			if len(m) > 1 {
				in.marks = append(in.marks, m)
			}
		}
		inputs = append(inputs, in)
	}
	slices.SortFunc(inputs, func(a, b lockedInput) int { return strings.Compare(a.name, b.name) })
	return inputs, nil
}

// sourceStorePath is the path of a tree that nix stores as `source`, from its NAR hash.
func sourceStorePath(narHash string) (string, error) {
	hash, err := storepath.SHA256(narHash)
	if err != nil {
		return "", fmt.Errorf("narHash %w", err)
	}
	return storepath.Source(hash).String(), nil
}

// machineStore is where the inputs of flakes usually already lie.
const machineStore = "/nix/store"

// addInputs brings every locked input that the machine has into the private
// store, so that nix needs no network. A missing one is only noted: most hosts do not need all.
func (s *session) addInputs(ctx context.Context) error {
	if s.MachineStore {
		return nil
	}
	from := s.machine
	if from == "" {
		from = machineStore
	}
	for i := range s.inputs {
		in := &s.inputs[i]
		base := filepath.Base(in.storePath)
		if exists(filepath.Join(s.store(), "nix/store", base)) {
			continue
		}
		tree := filepath.Join(from, base)
		if !exists(tree) {
			in.missing = true
			continue
		}
		s.progress(Event{Kind: EventInput, Input: in.name})
		log := &nixLog{}
		args := []string{"store", "add-path", "--extra-experimental-features", "nix-command", "--log-format", "internal-json",
			"--offline", "--store", s.store(), "--name", "source", tree}
		r, err := runNix(ctx, log, run.Cmd{Path: s.nix, Args: args, Env: s.env, Dir: s.dir})
		if err != nil {
			return s.classify(ctx, "", log, err)
		}
		if got := strings.TrimSpace(string(r.Stdout)); got != in.storePath {
			// The tree was changed in place; nix will say so if it needs it.
			in.missing = true
		}
	}
	return nil
}

// missingInputs names the inputs that are not on this machine: those that said
// names, or all where it names none.
func (s *session) missingInputs(said string) []string {
	var all, named []string
	for _, in := range s.inputs {
		if !in.missing {
			continue
		}
		all = append(all, in.name)
		if slices.ContainsFunc(in.marks, func(m string) bool { return strings.Contains(said, m) }) {
			named = append(named, in.name)
		}
	}
	if len(named) > 0 {
		return named
	}
	return all
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
