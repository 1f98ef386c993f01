package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/capture"
)

func newCaptureZFS(env Env) *cobra.Command {
	var f sourceFlags
	var name, output string
	var opts capture.PoolOptions
	var patience time.Duration
	cmd := &cobra.Command{
		Use:   "zfs [SOURCE]",
		Short: "Write down what the ZFS pools of this host have",
		Long: `Zfs writes down what the imported pools have: all properties of all datasets with their sources,
snapshots, bookmarks and holds, what is mounted, and of each mountpoint its owner, mode, and
whether it holds anything. With it plans can be made elsewhere, and again.

With a SOURCE it looks at the mountpoints, users and groups that the configuration asks for
too: name it where a plan is to be made for datasets that are not there yet.

It runs on the host itself, changes nothing, and needs root only where zfs does, and to look
at what lies beneath a mount. Credentials in the URL of a keylocation are left out; user
properties are kept. docs/capture.md describes the format.

` + exitStatus,
		Example: "  stateward capture zfs -o pool.json\n  stateward capture zfs .#forge --pool tank -o pool.json\n  stateward capture zfs --mountpoint /srv/media -o -",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if patience <= 0 {
				return fmt.Errorf("--zfs-timeout %s is not longer than nothing", patience)
			}
			opts.Timeout = patience
			if name == "" && !cmd.Flags().Changed("name") {
				own, err := os.Hostname()
				if err != nil {
					return withStatus(StatusStep, fmt.Errorf("cannot tell the name of this host: %w; name it with --name", err))
				}
				name = own
			}
			if len(args) > 0 {
				var err error
				if opts.Desired, err = desiredHere(cmd.Context(), env, &f, args, name); err != nil {
					return err
				}
			}
			o, err := capture.Pool(cmd.Context(), opts)
			if bad := (*capture.PlaceError)(nil); errors.As(err, &bad) {
				return err // wrong usage
			}
			if err != nil {
				return withStatus(StatusStep, err)
			}
			var b bytes.Buffer
			if err := capture.NewPoolFile(name, env.now(), o).Write(&b); err != nil {
				return withStatus(StatusStep, err)
			}
			if output == "" || output == "-" {
				_, err = env.Stdout.Write(b.Bytes())
			} else {
				err = writeFile(output, b.Bytes(), 0o600) // user properties and mountpoints are as private as the host
			}
			if err != nil {
				return withStatus(StatusStep, fmt.Errorf("cannot write the capture: %w", err))
			}
			sayPools(env, o)
			return nil
		},
	}
	f.register(cmd)
	fs := cmd.Flags()
	fs.StringVarP(&output, "output", "o", "", "write to `FILE` instead of standard output")
	fs.StringVar(&name, "name", "", "the `NAME` of the host to write down (default: that of this host)")
	fs.StringArrayVar(&opts.Pools, "pool", nil, "only this `POOL`; may be repeated")
	fs.StringArrayVar(&opts.Mountpoints, "mountpoint", nil, "look at this `DIR` too; may be repeated")
	fs.DurationVar(&patience, "zfs-timeout", capture.DefaultTimeout, "give up when one command of zfs takes longer than this `TIME`")
	return cmd
}

// desiredHere are the datasets that the configuration of this host asks for: the host that is alone, or is called so.
func desiredHere(ctx context.Context, env Env, f *sourceFlags, args []string, name string) (dataset.Desired, error) {
	hosts, err := f.load(ctx, env, args)
	if err != nil {
		return dataset.Desired{}, err
	}
	i := 0
	if len(hosts) != 1 {
		i = slices.IndexFunc(hosts, func(l loaded) bool { return l.name == name })
	}
	if i < 0 {
		var names []string
		var found []int
		for j, l := range hosts {
			names = append(names, l.name)
			if l.host == nil {
				continue
			}
			if own, ok := l.host.HostName.Get(); ok && own != "" && (own == name || strings.HasPrefix(name, own+".")) {
				found = append(found, j)
			}
		}
		if len(found) != 1 {
			return dataset.Desired{}, &notThisHostError{name, names}
		}
		i = found[0]
	}
	if hosts[i].err != nil {
		return dataset.Desired{}, withStatus(StatusEvaluation, hosts[i].err)
	}
	desired, faults := dataset.NewDesired(hosts[i].host)
	if len(faults) > 0 {
		fmt.Fprintf(env.Stderr, "stateward: %d of the datasets that %s asks for cannot be planned: their mountpoints were not looked at\n", len(faults), hosts[i].name)
	}
	return desired, nil
}

// notThisHostError says that it is not clear which host of a configuration this one is.
type notThisHostError struct {
	name  string
	hosts []string
}

func (e *notThisHostError) Error() string {
	return fmt.Sprintf("this host is called %q, and the configuration has %s", e.name, strings.Join(e.hosts, ", "))
}

func (e *notThisHostError) Hint() string { return "choose one with --host" }

// sayPools says what a capture does not tell.
func sayPools(env Env, o *dataset.Observed) {
	if len(o.Pools) == 0 {
		fmt.Fprintln(env.Stderr, "stateward: no pool is imported")
	}
	for _, p := range o.Pools {
		if p.Unread != "" {
			fmt.Fprintf(env.Stderr, "stateward: the datasets of pool %s were not read: %s\n", p.Name, p.Unread)
		}
	}
	const few = 5
	n := 0
	for _, p := range o.Places {
		if p.Problem == "" {
			continue
		}
		if n++; n <= few {
			fmt.Fprintf(env.Stderr, "stateward: not seen: %s: %s\n", inLine(p.Path), inLine(p.Problem))
		}
	}
	if n > few {
		fmt.Fprintf(env.Stderr, "stateward: and %d more were not seen\n", n-few)
	}
	if n > 0 {
		fmt.Fprintln(env.Stderr, "  hint: run it as root; nothing is concluded of what was not seen")
	}
}
