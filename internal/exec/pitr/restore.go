//go:build unix

package pitr

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stateward/stateward/backup/pitr"
)

// begin makes the data directory, with the mark.
func (r *runner) begin(dir string) error {
	at, err := r.openPlace(dir, 0o700)
	if err != nil {
		return err
	}
	defer at.Close()
	return errors.Join(at.Chmod(".", 0o700), at.give("."), at.folder(mark))
}

// restored is where a base backup is restored to, below the data directory.
const restored = mark + "/data"

// restore brings the base backup below the mark. What a killed one left there is removed: the tool restores into an empty folder only.
// Tablespaces go where they are told, or to where they were.
func (r *runner) restore(ctx context.Context, dir string, j *journal, tablespaces map[string]string) error {
	if err := r.within(dir, func(at *place) error { return at.RemoveAll(restored) }); err != nil {
		return err
	}
	r.began("restore base backup %s", j.Plan.Backup.ID)
	argv, err := r.provider.Restore(r.p, j.Plan.Backup.ID, filepath.Join(dir, restored), tablespaces)
	if err != nil {
		return err
	}
	if _, err := r.run(ctx, argv); err != nil {
		return err
	}
	err = r.within(dir, func(at *place) error {
		for _, name := range []string{"PG_VERSION", "global/pg_control", "backup_label"} {
			if _, err := at.Stat(path.Join(restored, name)); err != nil {
				return fmt.Errorf("base backup %s is not whole: %w", j.Plan.Backup.ID, err)
			}
		}
		if err := at.logInside(j); err != nil {
			return err
		}
		if err := at.apart(j.Plan.Backup.Tablespaces, tablespaces); err != nil {
			return err
		}
		// What was set by ALTER SYSTEM holds for the recovered cluster, and not for the server that replays: that has what it needs on its command line, and a library,
		// a command or a target of an earlier recovery would be in its way.
		if err := at.Rename(path.Join(restored, autoConf), path.Join(mark, autoConf)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return at.Chmod(restored, 0o700)
	})
	if err != nil {
		return err
	}
	return r.note(dir, j, moving)
}

// logInside makes a folder of a link in place of the log (initdb --waldir): where that led to, another cluster may have its log.
func (p *place) logInside(j *journal) error {
	log := path.Join(restored, logDir)
	if !p.isLink(log) {
		return nil
	}
	to, err := p.Readlink(log)
	if err != nil {
		return err
	}
	j.WALLink = to
	return errors.Join(p.Remove(log), p.folder(log))
}

// autoConf is where ALTER SYSTEM writes to.
const autoConf = "postgresql.auto.conf"

// apart looks whether what was restored leads nowhere else: the folders of a cluster are its own, and tablespaces are where they were told to be.
func (p *place) apart(known []pitr.Tablespace, tablespaces map[string]string) error {
	entries, err := p.entries(restored)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); e.Type()&fs.ModeSymlink != 0 && (name == "base" || name == "global" || strings.HasPrefix(name, "pg_") && !strings.HasSuffix(name, ".conf")) {
			return fmt.Errorf("the base backup has a link in place of the folder %s, which leads out of it", name)
		}
	}
	links, err := p.entries(restored + "/pg_tblspc")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	want := map[string]string{}
	for _, t := range known {
		at := t.Location
		if to, ok := tablespaces[t.Name]; ok {
			at = to
		}
		want[strconv.FormatUint(t.OID, 10)] = at
	}
	for _, l := range links {
		to, err := p.Readlink(restored + "/pg_tblspc/" + l.Name())
		if err != nil {
			return err
		}
		if to != want[l.Name()] {
			return fmt.Errorf("tablespace %s leads to %s, and should lead to %s", l.Name(), to, want[l.Name()])
		}
		delete(want, l.Name())
	}
	for oid, at := range want {
		return fmt.Errorf("tablespace %s was not restored to %s", oid, at)
	}
	// The server makes the links of this file anew, to where they led.
	if at := restored + "/tablespace_map"; p.exists(at) && len(tablespaces) > 0 {
		return p.Remove(at)
	}
	return nil
}

// moved moves what was restored to its place.
func (r *runner) moved(dir string, j *journal) error {
	err := r.within(dir, func(at *place) error {
		if info, err := at.Lstat(logDir); err == nil && info.IsDir() {
			if err := at.movedLog(); err != nil {
				return err
			}
		}
		return at.moveUp()
	})
	if err != nil {
		return err
	}
	return r.note(dir, j, recovering)
}

// movedLog makes the folders of the log where it has a file system of its own. A base backup of barman-cloud has no log, but folders for it.
func (p *place) movedLog() error {
	const from = restored + "/" + logDir
	entries, err := p.entries(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was killed after that
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := errors.Join(p.folder(path.Join(logDir, e.Name())), p.Remove(path.Join(from, e.Name()))); err != nil {
			return err
		}
	}
	return errors.Join(p.Chmod(logDir, 0o700), p.give(logDir), p.Remove(from))
}

func (p *place) moveUp() error {
	entries, err := p.entries(restored)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if p.exists(e.Name()) {
			return &pitr.DataDirError{Dir: pitr.DataDir{Path: p.Name(), State: pitr.DataOther}}
		}
		if err := p.Rename(path.Join(restored, e.Name()), e.Name()); err != nil {
			return err
		}
		passed("moved " + e.Name())
	}
	return p.Remove(restored)
}
