//go:build unix

package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/syntax/mountinfo"
)

// gate looks whether there is what is to be backed up (R8): mounted where that is asked for, no empty folder, and not far less than
// there was the last time. at says where a path is read.
func gate(j restic.Job, at func(string) string, last *Good, acceptSize bool) error {
	if len(j.RequireMounted) > 0 {
		mounts, err := mountPoints()
		if err != nil {
			return err
		}
		for _, p := range j.RequireMounted {
			if !slices.Contains(mounts, p) {
				return &GateError{p, "is not mounted: nothing is backed up", "mount it, or take it from requireMounted"}
			}
		}
	}
	for _, p := range j.Paths {
		empty, err := isEmpty(at(p))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return &GateError{p, "is not there: nothing is backed up", "mount what holds it, or take it from the paths"}
		case err != nil:
			return err
		case empty && !slices.Contains(j.AllowEmpty, p):
			return &GateError{p, "is an empty folder: nothing is backed up", "mount what belongs there, or name it in allowEmpty"}
		}
	}
	files, bytes := floor(j, last)
	if acceptSize || files == 0 && bytes == 0 {
		return nil
	}
	// What is excluded counts here, so this refuses only what is too little in any case. What restic says counts in the end.
	size := &counted{enoughFiles: files, enoughBytes: bytes}
	for _, p := range j.Paths {
		if size.enough() {
			break
		}
		if err := filepath.WalkDir(at(p), size.visit); err != nil && !errors.Is(err, filepath.SkipAll) {
			return err
		}
	}
	if !size.enough() {
		return shrunken(size.files, size.bytes, last)
	}
	return nil
}

// floor is how much there must be at least.
func floor(j restic.Job, last *Good) (files, bytes int64) {
	if last == nil {
		return 0, 0
	}
	percent := int64(defaultFloor)
	if j.Floor != nil {
		percent = int64(*j.Floor)
	}
	part := func(n int64) int64 { return n/100*percent + n%100*percent/100 }
	return part(last.Files), part(last.Bytes)
}

func shrunken(files, bytes int64, last *Good) error {
	return &GateError{Reason: fmt.Sprintf("there are %d files of %d bytes, and the last good run, of %s, had %d of %d: good snapshots are kept", files, bytes,
		last.Time.UTC().Format("2006-01-02 15:04"), last.Files, last.Bytes),
		hint: "see what became of the rest; run once with --accept-size where that is meant"}
}

// mustHaveFiles says whether a snapshot without a single file is a fault: not where the last good one had none either, or all may be empty.
func mustHaveFiles(j restic.Job, last *Good) bool {
	if last != nil && last.Files == 0 || j.Floor != nil && *j.Floor == 0 {
		return false
	}
	return slices.ContainsFunc(j.Paths, func(p string) bool { return !slices.Contains(j.AllowEmpty, p) })
}

// tooSmall compares what a snapshot holds.
func tooSmall(j restic.Job, r *Result, acceptSize bool) error {
	files, bytes := floor(j, r.LastGood)
	if r.Files == 0 && !acceptSize && mustHaveFiles(j, r.LastGood) {
		return &GateError{Reason: "the snapshot holds no file at all", hint: "see what exclude leaves out; run once with --accept-size where that is meant"}
	}
	if acceptSize || r.Files >= files && r.Bytes >= bytes {
		return nil
	}
	return shrunken(r.Files, r.Bytes, r.LastGood)
}

type counted struct {
	files, bytes             int64
	enoughFiles, enoughBytes int64
}

func (c *counted) enough() bool { return c.files >= c.enoughFiles && c.bytes >= c.enoughBytes }

func (c *counted) visit(_ string, d fs.DirEntry, err error) error {
	if err != nil {
		return nil // restic says so, and ends with status 3
	}
	if !d.IsDir() {
		c.files++
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			c.bytes += info.Size()
		}
	}
	if c.enough() {
		return filepath.SkipAll
	}
	return nil
}

// isEmpty says whether there is a folder without anything in it.
func isEmpty(name string) (bool, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return false, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return false, &GateError{name, "is a link, of which restic would take nothing but its name", "name what it points to"}
	}
	if !info.IsDir() {
		return false, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	return len(names) == 0, ignoreEOF(err)
}

// mountPoints are where something is mounted.
func mountPoints() ([]string, error) {
	mounts, err := readMounts()
	var out []string
	for _, m := range mounts {
		out = append(out, m.at)
	}
	return out, err
}

type mount struct{ at, kind, source string }

// readMounts reads proc_pid_mountinfo(5).
func readMounts() ([]mount, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var out []mount
	for line := range strings.Lines(string(text)) {
		before, after, ok := strings.Cut(line, " - ")
		fields, more := strings.Fields(before), strings.Fields(after)
		if ok && len(fields) >= 5 && len(more) >= 2 {
			out = append(out, mount{mountinfo.Unescape(fields[4]), more[0], mountinfo.Unescape(more[1])})
		}
	}
	return out, nil
}
