//go:build unix

package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/run"
)

// marker is the property by which a snapshot is known as ours: it is set on the snapshot itself as it is made, and holds the job and
// the one run.
const marker = "stateward:backup"

// zfsTimeout ends a command of zfs that would never end.
const zfsTimeout = 5 * time.Minute

// journal is what a run made, or is about to make; the next run cleans up what a killed one left.
type journal struct {
	Mark      string        `json:"mark"`
	Root      string        `json:"root"`
	Snapshots []ownSnapshot `json:"snapshots"`
	file      string        // where it lies
	o         Options       // of the run
	Dirs      []string      `json:"dirs"` // folders that were made, parents first
	job       restic.Job    // whose it is
	sources   []restic.Dataset
}

type ownSnapshot struct {
	Name string `json:"name"`
	// GUID is empty until it is known. The name has the time of the run in it, and the snapshot the mark of it.
	GUID string `json:"guid,omitempty"`
}

// mountSnapshot takes a snapshot of the datasets, of one moment, and mounts it read-only below the root of the job. What it
// made it cleans up where it fails.
func mountSnapshot(ctx context.Context, j restic.Job, o Options) (_ *journal, err error) {
	g := &journal{file: filepath.Join(o.StateDir, j.Name+".snapshot.json"), o: o, job: j, Root: j.Root(), sources: slices.Clone(j.Source)}
	if err := g.leftovers(ctx); err != nil {
		return nil, err
	}
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	if err := sourceGate(j, mounts); err != nil {
		return nil, err
	}
	stamp := o.Now().UTC().Format("20060102T150405.000000000Z")
	g.Mark = j.Name + ":" + stamp
	// Parents are mounted first.
	slices.SortFunc(g.sources, func(a, b restic.Dataset) int { return strings.Compare(a.Mountpoint, b.Mountpoint) })
	args := []string{"snapshot", "-o", marker + "=" + g.Mark}
	for _, d := range g.sources {
		name := d.Name + "@stateward-" + j.Name + "-" + stamp
		g.Snapshots = append(g.Snapshots, ownSnapshot{Name: name})
		args = append(args, name)
	}
	if err := g.write(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close(context.WithoutCancel(ctx)))
		}
	}()
	if _, err := g.zfs(ctx, args...); err != nil {
		return nil, err
	}
	for i := range g.Snapshots {
		s := &g.Snapshots[i]
		found, guid, mark, err := g.look(ctx, s.Name)
		switch {
		case err != nil:
			return nil, err
		case !found || mark != g.Mark:
			return nil, &GateError{s.Name, "was made, and is not there as it was made", ""}
		}
		s.GUID = guid
	}
	if err := g.write(); err != nil {
		return nil, err
	}
	for i, d := range g.sources {
		at := restic.Stored(g.Root, d.Mountpoint)
		if err := g.makeDir(at); err != nil {
			return nil, err
		}
		if _, err := g.call(ctx, "mount", "-t", "zfs", "-o", "ro", g.Snapshots[i].Name, at); err != nil {
			return nil, err
		}
		// D2: what is read is what was meant.
		mounts, err := readMounts()
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(mounts, func(m mount) bool { return m.at == at && m.source == g.Snapshots[i].Name }) {
			return nil, &GateError{at, "has not the snapshot mounted that was to be there", ""}
		}
	}
	return g, nil
}

// sourceGate looks whether the datasets are mounted where the job says, and whether all is in their snapshots that lies below its paths
// now (R8): what else is mounted there would be missing, and nothing would say so.
func sourceGate(j restic.Job, mounts []mount) error {
	at := map[string]string{}
	for _, m := range mounts {
		at[m.at] = m.source // the newest is what is seen
	}
	for _, d := range j.Source {
		switch source, ok := at[d.Mountpoint]; {
		case !ok:
			return &GateError{d.Mountpoint, "has not " + d.Name + " mounted: what is written there now is in none of its snapshots", "mount it, or mend source"}
		case source != d.Name:
			return &GateError{d.Mountpoint, "has " + source + " mounted, and not " + d.Name, "mend source"}
		}
	}
	if j.OneFileSystem {
		return nil
	}
	for _, m := range mounts {
		declared := slices.ContainsFunc(j.Source, func(d restic.Dataset) bool { return d.Mountpoint == m.at })
		below := slices.ContainsFunc(j.Paths, func(p string) bool { return strings.HasPrefix(m.at, strings.TrimSuffix(p, "/")+"/") })
		if below && !declared && !strings.Contains(m.at, "/.zfs/snapshot/") {
			return &GateError{m.at, "is mounted below what is backed up, and not in source: it would be missing", "add its dataset to source, or set oneFileSystem where it is meant to be left out"}
		}
	}
	return nil
}

// makeDir makes a folder to mount on, and writes down first what it makes. In a snapshot there is nothing to be made.
func (g *journal) makeDir(at string) error {
	var missing []string
	for p := at; ; p = filepath.Dir(p) {
		if _, err := os.Lstat(p); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		missing = append(missing, p)
	}
	slices.Reverse(missing)
	g.Dirs = append(g.Dirs, missing...)
	if err := g.write(); err != nil {
		return err
	}
	for _, p := range missing {
		if err := os.Mkdir(p, 0o700); err != nil {
			return err
		}
	}
	info, err := os.Lstat(at)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &GateError{at, "is no folder", ""}
	}
	return nil
}

func (g *journal) write() error {
	text, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		return err
	}
	if err := dirOf(g.file); err != nil {
		return err
	}
	return replace(g.file, append(text, '\n'), 0o600)
}

// leftovers cleans up what a run left that was killed.
func (g *journal) leftovers(ctx context.Context) error {
	text, err := os.ReadFile(g.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	old := journal{file: g.file, o: g.o}
	if err := json.Unmarshal(text, &old); err != nil || old.Root != g.Root || old.Mark == "" {
		return &RecordError{g.file, errors.New("it does not say what the last run made")}
	}
	return old.close(ctx)
}

// close unmounts what is mounted below the root, and destroys the snapshots that the journal names: those alone, and each only where its guid and its
// own mark say that it is the one that was made.
func (g *journal) close(ctx context.Context) error {
	mounts, err := readMounts()
	if err != nil {
		return err
	}
	// The newest mount goes first.
	for _, m := range slices.Backward(mounts) {
		ours := slices.ContainsFunc(g.Snapshots, func(s ownSnapshot) bool { return s.Name == m.source })
		if ours && (m.at == g.Root || strings.HasPrefix(m.at, g.Root+"/")) {
			if _, err := g.call(ctx, "umount", "--", m.at); err != nil {
				return err
			}
		}
	}
	for _, p := range slices.Backward(g.Dirs) {
		// Empty ones only; what else lies there is not ours.
		_ = os.Remove(p)
	}
	for _, s := range g.Snapshots {
		found, guid, mark, err := g.look(ctx, s.Name)
		switch {
		case err != nil:
			return err
		case !found:
			continue
		case mark != g.Mark || s.GUID != "" && s.GUID != guid || !strings.Contains(s.Name, "@stateward-"):
			return &GateError{s.Name, "is not the snapshot that was made for the backup: it is left", "destroy it by hand where nobody needs it"}
		}
		if _, err := g.zfs(ctx, "destroy", s.Name); err != nil {
			return err
		}
	}
	if err := os.Remove(g.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// look reads guid and mark of a snapshot. A mark that it does not have itself is none.
func (g *journal) look(ctx context.Context, name string) (found bool, guid, mark string, err error) {
	out, err := g.zfs(ctx, "get", "-Hp", "-t", "snapshot", "-o", "property,value,source", "guid,"+marker, name)
	if err != nil {
		var e *commandError
		if errors.As(err, &e) && (strings.Contains(e.said, "does not exist") || strings.Contains(e.said, "could not find any snapshots")) {
			return false, "", "", nil
		}
		return false, "", "", err
	}
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case len(f) != 3:
		case f[0] == "guid":
			guid = f[1]
		case f[0] == marker && f[2] == "local":
			mark = f[1]
		}
	}
	if _, err := strconv.ParseUint(guid, 10, 64); err != nil {
		return false, "", "", fmt.Errorf("zfs says no guid of %s", name)
	}
	return true, guid, mark, nil
}

// commandError says what a program said.
type commandError struct{ what, said string }

func (e *commandError) Error() string { return e.what + ": " + e.said }

func (g *journal) zfs(ctx context.Context, args ...string) (string, error) {
	return g.call(ctx, "zfs", args...)
}

// call is not cut off: what half happened would have to be guessed.
func (g *journal) call(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), zfsTimeout)
	defer cancel()
	r, err := run.Run(ctx, run.Cmd{Path: program, Args: args, Env: g.o.Env, Dir: "/"})
	if err != nil {
		said := strings.TrimSpace(string(r.Stderr))
		if said == "" {
			said = err.Error()
		}
		return "", &commandError{program + " " + args[0], said}
	}
	return string(r.Stdout), nil
}
