package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/internal/capture"
)

// hostFlags say which machine is taken as that of a host.
type hostFlags struct {
	other bool
}

func (f *hostFlags) register(cmd *cobra.Command, what string) {
	cmd.Flags().BoolVar(&f.other, "other-host", false, "take "+what+" although it has another name than the host")
}

// isHost tells whether a machine of that name is a host: by networking.hostName, or by its attribute.
func isHost(machine string, l *loaded) bool {
	is := func(own string) bool {
		return own != "" && (own == machine || strings.HasPrefix(machine, own+".") || strings.HasPrefix(own, machine+".") && machine != "")
	}
	return is(l.name) || l.host != nil && is(l.host.HostName.Or(""))
}

// called is the name that the machine of a host ought to have.
func called(l *loaded) string {
	if l.host != nil {
		return cmp.Or(l.host.HostName.Or(""), l.name)
	}
	return l.name
}

// otherHostError says that the configuration is that of another machine.
type otherHostError struct {
	// file is that of a capture, and empty for the machine itself.
	file, machine, name, wanted string
}

func (e *otherHostError) Error() string {
	if e.file != "" {
		return fmt.Sprintf("%s was written on %q, and the configuration of %s is that of %q", e.file, e.machine, e.name, e.wanted)
	}
	return fmt.Sprintf("this machine is called %q, and the configuration of %s is that of %q", e.machine, e.name, e.wanted)
}

func (e *otherHostError) Hint() string {
	if e.file != "" {
		return "name the host that was captured, or give --other-host where it is that one all the same"
	}
	return "run it on that machine, name the host of this one, or give --other-host where it is this one all the same"
}

// here refuses the configuration of another machine than this one.
func (f *hostFlags) here(env Env, l *loaded) error {
	if f.other {
		return nil
	}
	own, err := env.hostname()
	if err != nil {
		return withStatus(StatusStep, &hintedError{fmt.Errorf("cannot tell the name of this machine: %w", err), "give --other-host to go on without it"})
	}
	if !isHost(own, l) {
		return &otherHostError{machine: own, name: l.name, wanted: called(l)}
	}
	return nil
}

// captured refuses a capture of another host. One without a name may be of any.
func (f *hostFlags) captured(env Env, name string, file *capture.PoolFile, l *loaded) error {
	if file.Host == "" || isHost(file.Host, l) {
		return nil
	}
	if !f.other {
		return &otherHostError{file: name, machine: file.Host, name: l.name, wanted: called(l)}
	}
	fmt.Fprintf(env.Stderr, "stateward: %s was written on %s, and is compared with what %s declares\n", inLine(name), inLine(file.Host), inLine(l.name))
	return nil
}

// PoolCapture is the file of `stateward capture zfs` that was compared with.
type PoolCapture struct {
	File  string    `json:"file"`
	Host  string    `json:"host"`
	Taken time.Time `json:"taken"`
	// Old says why what it tells may be over: it is older than 30 days, or from the future.
	Old string `json:"old,omitempty"`
	age string
}

func capturedPools(env Env, name string, file *capture.PoolFile) *PoolCapture {
	age := env.now().Sub(file.Taken)
	c := &PoolCapture{File: name, Host: file.Host, Taken: file.Taken, age: ageText(age)}
	if age < -aggregate.MaxListingAge/30 || age > aggregate.MaxListingAge {
		when := fmt.Sprintf("more than %d days ago", int(aggregate.MaxListingAge.Hours()/24))
		if age < 0 {
			when = "in the future"
		}
		c.Old = fmt.Sprintf("%s was written on %s, %s: what changed since is not in it", name, file.Taken.Format("2006-01-02"), when)
	}
	return c
}

func (c *PoolCapture) isOld() bool { return c != nil && c.Old != "" }

// hint is what to do about an old one.
const oldCaptureHint = "run `stateward capture zfs` on the host again"

func observedGiven(cmd *cobra.Command, value string) error {
	if value == "" && cmd.Flags().Changed("observed") {
		return errors.New("--observed names no file")
	}
	return nil
}

// hintedError is an error with what to do about it.
type hintedError struct {
	error
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }
func (e *hintedError) Hint() string  { return e.hint }

// lockError adds what to do to why a lock could not be had.
func lockError(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return &hintedError{fmt.Errorf("this machine cannot be worked on: %w", err), "run it as root"}
	}
	return err
}
