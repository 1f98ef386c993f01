package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/internal/capture"
)

func newCapture(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "capture",
		Short: "Write down what lies on a host",
		Long:  "Capture runs on the host itself and writes down what lies there, for a check elsewhere.\n\n" + exitStatus,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.Help(); err != nil {
				return err
			}
			return &statusError{status: StatusUsage}
		},
	}
	cmd.AddCommand(newCapturePersist(env), newCaptureZFS(env))
	return cmd
}

func newCapturePersist(env Env) *cobra.Command {
	var host, output string
	var live []string
	var noLive bool
	var depth int
	cmd := &cobra.Command{
		Use:   "persist [ROOT...]",
		Short: "List what lies in the persistence roots of this host",
		Long: `Persist lists what lies in each persistence ROOT (default /persist), and what lies in the
places that its directories are mounted over: names, kinds, owners, modes and sizes, never
contents. With the listing, "stateward check --capture" says what is persisted and not in
its root yet, so that the next switch would hide it, and what is left over there.

It runs on the host itself and writes nothing but its output. It needs no root; what it
could not read it says, and nothing is concluded of that. It follows no symbolic link
and looks into no other file system: name a file system that is mounted below a root as a
ROOT of its own. docs/capture.md describes the format.

` + exitStatus,
		Example: "  stateward capture persist -o forge.json\n  stateward capture persist /persist /cold --live / --live /var -o forge.json\n  stateward check .#forge --capture forge.json",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, roots []string) error {
			if depth < 1 {
				return fmt.Errorf("--depth %d is less than one", depth)
			}
			if noLive && cmd.Flags().Changed("live") {
				return fmt.Errorf("--live and --no-live exclude one another")
			}
			if noLive {
				live = nil
			}
			if len(roots) == 0 {
				roots = []string{"/persist"}
			}
			if !cmd.Flags().Changed("host") {
				name, err := os.Hostname()
				if err != nil {
					return withStatus(StatusStep, fmt.Errorf("cannot tell the name of this host: %w; name it with --host", err))
				}
				host = name
			}
			l, err := capture.Take(cmd.Context(), capture.Options{Roots: roots, Live: live, Depth: depth, Host: host, Now: env.now()})
			if err != nil {
				return withStatus(StatusStep, err)
			}
			var b bytes.Buffer
			if err := l.Write(&b); err != nil {
				return withStatus(StatusStep, err)
			}
			if output == "" || output == "-" {
				_, err = env.Stdout.Write(b.Bytes())
			} else {
				err = writeFile(output, b.Bytes(), 0o600) // as private as the homes that it names files of
			}
			if err != nil {
				return withStatus(StatusStep, fmt.Errorf("cannot write the listing: %w", err))
			}
			sayUnread(env, l)
			return nil
		},
	}
	fs := cmd.Flags()
	fs.StringVarP(&output, "output", "o", "", "write to `FILE` instead of standard output")
	fs.StringVar(&host, "host", "", "the `NAME` to write down (default: that of this host)")
	fs.IntVar(&depth, "depth", capture.DefaultDepth, "list `N` levels one by one, and sum up what lies deeper")
	fs.StringArrayVar(&live, "live", []string{"/"}, "list `DIR` as a place where services look for their state; may be repeated")
	fs.BoolVar(&noLive, "no-live", false, "list the persistence roots only")
	return cmd
}

// sayUnread says what a listing does not tell because it could not be read.
func sayUnread(env Env, l *stateward.Listing) {
	const few = 5
	n := 0
	for path, e := range l.Unread() {
		if n++; n <= few {
			fmt.Fprintf(env.Stderr, "stateward: not read: %s: %s\n", inLine(path), inLine(e.Error))
		}
	}
	if n > few {
		fmt.Fprintf(env.Stderr, "stateward: and %d more were not read\n", n-few)
	}
	if n > 0 {
		fmt.Fprintln(env.Stderr, "  hint: run it as root; nothing is concluded of what was not read")
	}
}

// readCaptures reads the files of --capture.
func readCaptures(files []string) ([]captured, error) {
	var out []captured
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, unread("--capture", err, "name a file that stateward capture has written")
		}
		in := bufio.NewReader(f)
		if head, _ := in.Peek(512); bytes.Contains(head, []byte(`"`+capture.PoolKind+`"`)) {
			pool, err := capture.ReadPool(in)
			f.Close()
			if err != nil {
				return nil, &captureError{file: name, err: err, hint: oldCaptureHint}
			}
			out = append(out, captured{file: name, pool: pool})
			continue
		}
		l, err := stateward.ReadListing(in)
		f.Close()
		var bad *stateward.ListingError
		if errors.As(err, &bad) {
			return nil, &captureError{file: name, err: bad, hint: bad.Hint()}
		}
		if err != nil {
			return nil, fmt.Errorf("--capture: %w", err)
		}
		out = append(out, captured{file: name, listing: l})
	}
	return out, nil
}

// captured is a listing, or what pools have, and the file that it was read from.
type captured struct {
	file    string
	listing *stateward.Listing
	pool    *capture.PoolFile
}

// host is the name of the host that was looked at, taken when that was.
func (c captured) host() string {
	if c.pool != nil {
		return c.pool.Host
	}
	return c.listing.Host
}

func (c captured) taken() time.Time {
	if c.pool != nil {
		return c.pool.Taken
	}
	return c.listing.Taken
}

// captureError is a file that cannot be used.
type captureError struct {
	file string
	err  error
	hint string
}

func (e *captureError) Error() string { return fmt.Sprintf("capture %s: %v", e.file, e.err) }

func (e *captureError) Unwrap() error { return e.err }

func (e *captureError) Hint() string { return e.hint }

// CaptureOutput is one capture of [HostOutput].
type CaptureOutput struct {
	File  string    `json:"file"`
	Taken time.Time `json:"taken"`
	// Roots are the persistence roots that it lists.
	Roots []string `json:"roots"`
	// Pools are those of ZFS that it tells of.
	Pools []string `json:"pools,omitempty"`

	age string
}

func describeCaptures(seen []captured, now time.Time) []CaptureOutput {
	var out []CaptureOutput
	for _, c := range seen {
		o := CaptureOutput{File: c.file, Taken: c.taken(), Roots: []string{}, age: ageText(now.Sub(c.taken()))}
		if c.pool != nil {
			o.Pools = []string{}
			for _, p := range c.pool.Observed.Pools {
				o.Pools = append(o.Pools, p.Name)
			}
			out = append(out, o)
			continue
		}
		for i := range c.listing.Roots {
			if r := &c.listing.Roots[i]; !r.Live {
				o.Roots = append(o.Roots, r.Name())
			}
		}
		out = append(out, o)
	}
	return out
}

// ageText reads as "3 days ago".
func ageText(age time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case age < -time.Minute:
		return "in the future"
	case age < 2*time.Minute:
		return "just now"
	case age < 2*time.Hour:
		return fmt.Sprintf("%d minutes ago", age/time.Minute)
	case age < 2*day:
		return fmt.Sprintf("%d hours ago", age/time.Hour)
	default:
		return fmt.Sprintf("%d days ago", age/day)
	}
}

func observedOf(seen []captured) *aggregate.Observed {
	if len(seen) == 0 {
		return nil
	}
	o := &aggregate.Observed{}
	for _, c := range seen {
		if c.pool != nil {
			o.Pools = c.pool.Observed
			continue
		}
		o.Listings = append(o.Listings, c.listing)
	}
	return o
}

// assignCaptures finds the host of each capture: the one whose attribute has the name that was written down, else the one
// whose networking.hostName that is. A capture without a name belongs to a host that is alone.
func assignCaptures(captures []captured, hosts []loaded) (map[int][]captured, error) {
	out := map[int][]captured{}
	for _, c := range captures {
		i, err := hostOf(c, hosts)
		if err != nil {
			return nil, err
		}
		for _, other := range out[i] {
			if c.pool != nil || other.pool != nil {
				if c.pool != nil && other.pool != nil {
					return nil, &captureError{file: c.file, err: fmt.Errorf("tells of the pools of %s, as %s does", hosts[i].name, other.file), hint: "give one of them"}
				}
				continue
			}
			if root, both := sharedRoot(other.listing, c.listing); both {
				return nil, &captureError{file: c.file, err: fmt.Errorf("lists %s of %s, as %s does", root, hosts[i].name, other.file), hint: "give one of them"}
			}
		}
		out[i] = append(out[i], c)
	}
	return out, nil
}

func hostOf(c captured, hosts []loaded) (int, error) {
	name := c.host()
	if name == "" && len(hosts) == 1 {
		return 0, nil
	}
	var names []string
	var found []int
	for i, h := range hosts {
		if h.name == name && name != "" {
			return i, nil
		}
		names = append(names, h.name)
		if h.host == nil {
			continue
		}
		if own, ok := h.host.HostName.Get(); ok && name != "" && (own == name || strings.HasPrefix(name, own+".") && own != "") {
			found = append(found, i)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	const hint = "check the host that was captured, or capture with --host and the name that it has in the configuration"
	switch {
	case name == "":
		return 0, &captureError{file: c.file, err: fmt.Errorf("does not say of which host it is, and there are %d: %s", len(hosts), strings.Join(names, ", ")), hint: "choose one with --host"}
	case len(found) > 1:
		return 0, &captureError{file: c.file, err: fmt.Errorf("is of %q, and %d hosts have that networking.hostName: %s, %s", name, len(found), hosts[found[0]].name, hosts[found[1]].name), hint: hint}
	default:
		return 0, &captureError{file: c.file, err: fmt.Errorf("is of the host %q, and what is checked is %s", name, strings.Join(names, ", ")), hint: hint}
	}
}

// sharedRoot returns a tree that both list.
func sharedRoot(a, b *stateward.Listing) (string, bool) {
	for i := range a.Roots {
		for j := range b.Roots {
			if x, y := &a.Roots[i], &b.Roots[j]; !x.Live && !y.Live && x.Name() == y.Name() {
				return x.Name(), true
			}
		}
	}
	return "", false
}
