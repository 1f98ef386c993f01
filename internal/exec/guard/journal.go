// Package guard writes down what was refused before a switch, and what was overridden by whom and why.
package guard

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Event is what a line of the journal tells.
type Event string

const (
	// Refused is a switch that was refused.
	Refused Event = "refused"
	// Overridden is the word of a person that one change may be switched to.
	Overridden Event = "overridden"
	// Used is that word, used up by a switch.
	Used Event = "used"
)

// Entry is one line of the journal.
type Entry struct {
	Time  time.Time `json:"time"`
	Event Event     `json:"event"`
	// Digest tells which change it is about.
	Digest string `json:"digest"`
	// Action is that of switch-to-configuration: "switch", "boot" or "test".
	Action string `json:"action,omitempty"`
	// By is who overrode it, Reason why. Declared tells that the configuration itself does.
	By       string `json:"by,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Declared bool   `json:"declared,omitempty"`
	// Loses is what would be lost.
	Loses []string `json:"loses,omitempty"`
}

// Journal is the file: lines of JSON, which are only ever added to.
type Journal struct {
	Dir string
	// LockWait is how long another run may hold it, which each does for a moment only: 30 seconds where it is zero.
	LockWait time.Duration
}

// File is its name.
func (j Journal) File() string { return filepath.Join(j.Dir, "guard.jsonl") }

// limit is far more than a host that is switched every hour fills in a lifetime.
const limit = 64 << 20

// UnsafeError says that others could have written the journal, or that it is no file.
type UnsafeError struct{ File, Reason string }

func (e *UnsafeError) Error() string { return e.File + " " + e.Reason }

// Hint says what to do.
func (e *UnsafeError) Hint() string {
	return "look at it, move it away, and override again what was meant"
}

// Read returns the lines, and how many cannot be read: one that was cut off, or that somebody else wrote. A file that is not there has none.
func (j Journal) Read() (entries []Entry, unread int, err error) {
	f, err := os.OpenFile(j.File(), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	if err := safe(f); err != nil {
		return nil, 0, err
	}
	return parse(f)
}

// safe tells whether only the owner, who runs this or is root, can have written a file.
func safe(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &UnsafeError{f.Name(), "is no file"}
	}
	if info.Mode().Perm()&0o022 != 0 {
		return &UnsafeError{f.Name(), "can be written by others"}
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return &UnsafeError{f.Name(), fmt.Sprintf("belongs to user %d", st.Uid)}
	}
	if info.Size() > limit {
		return &UnsafeError{f.Name(), fmt.Sprintf("is larger than %d MiB", limit>>20)}
	}
	return nil
}

func parse(r io.Reader) (entries []Entry, unread int, err error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, 0, err
	}
	for line := range bytes.Lines(data) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var e Entry
		known := func() bool { return e.Event == Refused || e.Event == Overridden || e.Event == Used }
		// A line without its end was cut off, be it whole JSON or not.
		if !bytes.HasSuffix(line, []byte("\n")) || json.Unmarshal(line, &e) != nil || !known() || e.Digest == "" || e.Time.IsZero() {
			unread++
			continue
		}
		entries = append(entries, e)
	}
	return entries, unread, nil
}

// lock waits no longer than LockWait: a switch must not stand still for one who forgot it.
func (j Journal) lock(f *os.File) error {
	wait := cmp.Or(j.LockWait, 30*time.Second)
	for end := time.Now().Add(wait); ; time.Sleep(20 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return err
		case time.Now().After(end):
			return fmt.Errorf("another process holds it for more than %s", wait)
		}
	}
}

// Update calls decide with the lines that there are, and adds what that returns, on the disk when it returns. Nobody else adds meanwhile.
func (j Journal) Update(decide func(entries []Entry, unread int) []Entry) (err error) {
	// Units of other users have their state below the same folder, and must be able to enter it. The file itself is private.
	if err := os.MkdirAll(j.Dir, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(j.File(), os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	if err := safe(f); err != nil {
		return err
	}
	if err := j.lock(f); err != nil {
		return fmt.Errorf("cannot lock %s: %w", j.File(), err)
	}
	entries, unread, err := parse(f)
	if err != nil {
		return err
	}
	add := decide(entries, unread)
	if len(add) == 0 {
		return nil
	}
	var b bytes.Buffer
	if info, err := f.Stat(); err != nil {
		return err
	} else if info.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, info.Size()-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			b.WriteString(" (cut off)\n") // it must not swallow this line, nor become whole by it
		}
	}
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, e := range add {
		if err := enc.Encode(e); err != nil {
			return err
		}
	}
	if _, err := f.Write(b.Bytes()); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	dir, err := os.Open(j.Dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// Pending are the overrides that no switch has used up, the oldest first.
func Pending(entries []Entry) []Entry {
	var out []Entry
	for _, e := range entries {
		switch e.Event {
		case Overridden:
			out = append(out, e)
		case Used:
			for i, o := range out {
				if o.Digest == e.Digest && !e.Declared {
					out = append(out[:i:i], out[i+1:]...)
					break
				}
			}
		}
	}
	return out
}
