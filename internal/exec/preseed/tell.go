//go:build unix

package preseed

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stateward/stateward/backup"
	ebackup "github.com/stateward/stateward/internal/exec/backup"
	"github.com/stateward/stateward/preseed"
)

// JournalSocket is where journald takes messages with fields: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
const JournalSocket = "/run/systemd/journal/socket"

// MessageID is that of what the journal is told of each run.
const MessageID = "6a1f2c0d9be04b6f8c6f5d3a7e41b902"

// WaitingFile is the name of what a run that waits writes down.
const WaitingFile = "waiting.json"

// waitsQuietly is how long a run waits before people are told: it may wait for hours, and the service is down meanwhile.
const waitsQuietly = 5 * time.Minute

// Headline says in one line what came of a run, for people who look after the service.
func (r Record) Headline() string {
	switch {
	case r.Start && r.Outcome == preseed.ConfirmedNoBackup:
		return r.Service + " starts with nothing: " + r.Why
	case r.Start && r.Outcome == preseed.Restored:
		return r.Service + " has its data again: " + r.Why
	case r.Start:
		return r.Service + " may start: " + r.Why
	}
	return r.Service + " stays down: " + r.Why
}

// Waits tells, of what a run that waits wrote down, whether it still waits: it writes that anew at least every other minute.
func (r *Record) Waits(now time.Time) bool { return r != nil && now.Sub(r.Ended) < 3*time.Minute }

// priorities are those of syslog(3).
func (r Record) priority() int {
	switch {
	case !r.Start:
		return 3
	case r.Outcome == preseed.ConfirmedNoBackup:
		return 2 // nobody else notices: the service runs
	case r.Outcome == preseed.Restored:
		return 5
	}
	return 6
}

// fields are what the journal is told.
func (r Record) fields() [][2]string {
	message := "preseed of " + r.Dataset + ": " + string(r.Outcome) + ": " + r.Headline()
	if r.Hint != "" && !r.Start {
		message += " (hint: " + r.Hint + ")"
	}
	out := [][2]string{{"MESSAGE", message}, {"MESSAGE_ID", MessageID}, {"PRIORITY", strconv.Itoa(r.priority())}, {"SYSLOG_IDENTIFIER", "stateward"}}
	add := func(name, value string) {
		if value != "" {
			out = append(out, [2]string{"STATEWARD_" + name, value})
		}
	}
	add("PLAN", r.Plan)
	add("SERVICE", r.Service)
	add("DATASET", r.Dataset)
	add("OUTCOME", string(r.Outcome))
	add("START", strconv.FormatBool(r.Start))
	add("SECONDS", strconv.FormatFloat(r.Seconds, 'f', -1, 64))
	add("SOURCE", string(r.Source))
	if r.RecoveryPoint != nil {
		add("RECOVERY_POINT", r.RecoveryPoint.UTC().Format(time.RFC3339))
		add("BYTES", strconv.FormatInt(r.Bytes, 10))
		add("FILES", strconv.FormatInt(r.Files, 10))
	}
	add("KEPT", r.Kept)
	return out
}

// entry is what journald reads.
func entry(fields [][2]string) []byte {
	var b bytes.Buffer
	for _, f := range fields {
		if !strings.ContainsAny(f[1], "\n") {
			fmt.Fprintf(&b, "%s=%s\n", f[0], f[1])
			continue
		}
		b.WriteString(f[0] + "\n")
		_ = binary.Write(&b, binary.LittleEndian, uint64(len(f[1])))
		b.WriteString(f[1] + "\n")
	}
	return b.Bytes()
}

// log tells the journal, where there is one.
func (r *runner) log() error {
	if r.o.Journal == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: r.o.Journal, Net: "unixgram"})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the journal is not told: %w", err)
	}
	defer c.Close()
	if err := c.SetWriteDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write(entry(r.rec.fields())); err != nil {
		return fmt.Errorf("the journal is not told: %w", err)
	}
	return nil
}

// notify has a notification sent, where the plan names a template for it. A person who restores by hand sees what comes of it.
func (r *runner) notify(ctx context.Context, template string) error {
	if template == "" || r.o.From != "" {
		return nil
	}
	unit := backup.NotifyUnit(template, r.plan.UnitName())
	if _, err := r.call(ctx, "systemctl", "start", "--no-block", "--", unit); err != nil {
		return fmt.Errorf("nobody is told, since %s is not started: %w", unit, err)
	}
	return nil
}

// tell tells of a run that has ended. A service that may start is kept down by nothing of this.
func (r *runner) tell(ctx context.Context) (warnings []string) {
	template := ""
	switch {
	case r.rec.Start && r.rec.Outcome == preseed.Restored:
		template = r.plan.Notify.OnSuccess
	case r.rec.Start && r.rec.Outcome == preseed.ConfirmedNoBackup:
		template = r.plan.Notify.OnFailure
	} // where it must not start, OnFailure= of the unit sends it, however the run ended
	for _, err := range []error{r.log(), r.notify(ctx, template)} {
		if err != nil {
			warnings = append(warnings, r.redacted(err.Error()))
		}
	}
	return warnings
}

// waits writes down what a run waits for, and has people told where it takes long.
func (r *runner) waits(ctx context.Context, d preseed.Decision) {
	if r.o.Dry {
		return
	}
	now := r.o.Now()
	if r.waiting.IsZero() {
		r.waiting = now
	}
	rec := r.rec
	rec.Outcome, rec.Why, rec.Hint, rec.Ended = d.Late, r.redacted(d.Why), r.redacted(d.Hint), now
	rec.Started, rec.Seconds = r.waiting, now.Sub(r.waiting).Seconds()
	dir := filepath.Join(r.o.StateDir, r.plan.Name)
	if err := ebackup.MakePrivate(dir); err != nil {
		return // where nothing can be written the end of the run says so
	}
	if err := writeJSON(filepath.Join(dir, WaitingFile), rec); err != nil || r.told || now.Sub(r.waiting) < waitsQuietly {
		return
	}
	r.told = true
	if err := r.notify(ctx, r.plan.Notify.OnFailure); err != nil && r.o.Began != nil {
		r.o.Began(preseed.Decision{Action: preseed.Wait, Why: r.redacted(err.Error())})
	}
}

// waitsNoMore removes what was written down.
func (r *runner) waitsNoMore() {
	if !r.o.Dry {
		_ = os.Remove(filepath.Join(r.o.StateDir, r.plan.Name, WaitingFile))
	}
	r.waiting, r.told = time.Time{}, false
}

func writeJSON(name string, rec Record) error {
	text, err := rec.text()
	if err != nil {
		return err
	}
	return ebackup.Replace(name, text, 0o600)
}
