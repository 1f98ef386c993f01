package cli

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward/dataset"
)

// choice is the value of a flag that takes one of a few words. It is checked as the flags are read, the same for every
// command, and completed by the shell.
type choice struct {
	value *string
	of    []string
}

func (c choice) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}

func (c choice) Set(s string) error {
	if !slices.Contains(c.of, s) {
		return &notOneOf{s, c.of}
	}
	*c.value = s
	return nil
}

// Type is what the usage calls the value, where its text does not.
func (c choice) Type() string { return "string" }

// choiceFlag registers a flag that takes one of the words. The default may be none of them, where no flag is another answer.
func choiceFlag(cmd *cobra.Command, p *string, name, short, usage, def string, of ...string) {
	*p = def
	cmd.Flags().VarP(choice{p, of}, name, short, usage)
	// It fails only for a flag that is not there.
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(of, cobra.ShellCompDirectiveNoFileComp))
}

// timeFlag is how long something may take, as Go writes it: "90s", "5m", "1h30m".
type timeFlag struct{ value *time.Duration }

func (t timeFlag) String() string {
	if t.value == nil || *t.value == 0 {
		return ""
	}
	return t.value.String()
}

func (t timeFlag) Set(s string) error {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return &flagError{"is no time", "write a number with its unit, such as 90s, 5m or 1h30m"}
	case d <= 0:
		if *t.value > 0 {
			return &flagError{"is not more than nothing", "write such as 90s, 5m or 1h30m, or leave the flag out: it is " + t.String() + " then"}
		}
		return &flagError{"is not more than nothing", "leave the flag out where there is no limit"}
	}
	*t.value = d
	return nil
}

// Type is what the usage calls the value, where its text does not.
func (t timeFlag) Type() string { return "duration" }

// dayFlag is a day, as an acknowledgement has it.
type dayFlag struct{ value *time.Time }

func (d dayFlag) String() string {
	if d.value == nil || d.value.IsZero() {
		return ""
	}
	return d.value.Format(time.DateOnly)
}

func (d dayFlag) Set(s string) error {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return &flagError{"is no day", "write a day as in 2027-01-31"}
	}
	*d.value = t
	return nil
}

// Type is what the usage calls the value, where its text does not.
func (d dayFlag) Type() string { return "day" }

// countFlag is a whole number, 1 or more.
type countFlag struct{ value *int }

func (c countFlag) String() string {
	if c.value == nil || *c.value == 0 {
		return ""
	}
	return strconv.Itoa(*c.value)
}

func (c countFlag) Set(s string) error {
	n, err := strconv.Atoi(s)
	switch {
	case err != nil:
		return &flagError{"is no whole number", ""}
	case n < 1:
		return &flagError{"is less than one", "leave the flag out to have the number chosen"}
	}
	*c.value = n
	return nil
}

// Type is what the usage calls the value, where its text does not.
func (c countFlag) Type() string { return "int" }

// memoryFlag is an amount of memory in bytes, with units of 1024.
type memoryFlag struct{ value *int64 }

func (m memoryFlag) String() string {
	if m.value == nil || *m.value == 0 {
		return ""
	}
	return dataset.Size(*m.value).String()
}

// An evaluation of nothing takes some 40 MiB.
const leastMemory = 64 << 20

func (m memoryFlag) Set(s string) error {
	size, err := dataset.ParseSize(s)
	switch {
	case err != nil:
		return &flagError{"is no amount of memory", "write such as 900M or 4G"}
	case size < leastMemory:
		return &flagError{"is less than 64M, which nix needs to start", "write such as 900M or 4G"}
	case size > math.MaxInt64:
		return &flagError{"is more than any machine has", "write such as 900M or 4G"}
	}
	*m.value = int64(size)
	return nil
}

// Type is what the usage calls the value, where its text does not.
func (m memoryFlag) Type() string { return "size" }

// wordFlag is a text that is not empty: an empty one mostly is a variable of a script that was never set.
type wordFlag struct{ value *string }

func (w wordFlag) String() string {
	if w.value == nil {
		return ""
	}
	return *w.value
}

func (w wordFlag) Set(s string) error {
	if s == "" {
		return &flagError{"is empty", "leave the flag out to have the default"}
	}
	*w.value = s
	return nil
}

// Type is what the usage calls the value, where its text does not.
func (w wordFlag) Type() string { return "string" }

// flagError says why a flag does not take a value.
type flagError struct{ reason, hint string }

func (e *flagError) Error() string { return e.reason }
func (e *flagError) Hint() string  { return e.hint }

// onMachine says whether each value of a flag is a place on the machine that units are written for: the folder in which this runs means nothing there.
func onMachine(flag string, values ...string) error {
	for _, v := range values {
		switch {
		case !path.IsAbs(v):
			return withStatus(StatusUsage, &preseedUsageError{fmt.Sprintf("--%s: %q is not absolute", flag, v), "write where it is on the machine, such as /run/current-system/sw/bin"})
		case flag == "path" && strings.Contains(v, ":"):
			return withStatus(StatusUsage, &preseedUsageError{fmt.Sprintf("--%s: %q is no one folder", flag, v), "give each folder a --" + flag + " of its own"})
		}
	}
	return nil
}
