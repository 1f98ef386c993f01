package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge"
	"github.com/stateward/stateward/nixbridge/dialect/own"
)

// sourceFlags are the flags of every command that loads hosts.
type sourceFlags struct {
	nix      string
	cacheDir string
	online   bool
	workers  int
	timeout  time.Duration
	hosts    []string
	quiet    bool
	noCache  bool
	noWhere  bool
	config   string
	noConfig bool
	pass     passFlags
	// with is what was asked of nix beyond the source, once that was evaluated.
	with     []string
	dialects []string

	maxMemory int64
	// dialectsRead tells that SOURCE has been read with the dialects that the configuration file names.
	dialectsRead bool

	// readConfig reads the configuration file that goes with a source, where that is not the one that lies there; nil otherwise.
	readConfig func(file string) ([]byte, error)

	// source and conf are there once prepare was called.
	source nixbridge.Source
	conf   *configuration
}

func (f *sourceFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringArrayVar(&f.hosts, "host", nil, "only this `HOST`; may be repeated")
	f.nix = "nix"
	fs.Var(wordFlag{&f.nix}, "nix", "the nix to run, a name on PATH or a `FILE`; 2.8 or newer")
	fs.Var(wordFlag{&f.cacheDir}, "cache-dir", "private folder that nix may write to (`DIR`; default $XDG_CACHE_HOME/stateward)")
	fs.BoolVar(&f.online, "online", false, "let nix fetch locked inputs from the network")
	fs.Var(countFlag{&f.workers}, "workers", "evaluate `N` hosts at once (default: as many as processors and memory allow)")
	fs.Var(memoryFlag{&f.maxMemory}, "max-memory", "let all nix together take this much memory (`SIZE`, such as 4G; default: three quarters of what is available)")
	fs.Var(timeFlag{&f.timeout}, "timeout", "give a host up after this `TIME`, such as 5m (default: never)")
	fs.BoolVar(&f.noCache, "no-cache", false, "evaluate anew, and keep nothing for the next time")
	fs.BoolVar(&f.noWhere, "no-locations", false, "do not look for the files in which options were defined; saves some of nix' time")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing on standard error while nix works")
	f.pass.register(cmd)
	fs.StringVar(&f.config, "config", "", "read this configuration `FILE` (default: stateward.toml in the folder of SOURCE)")
	fs.BoolVar(&f.noConfig, "no-config", false, "read no stateward.toml")
	fs.StringArrayVar(&f.dialects, "dialect", nil, "read the hosts with a dialect of your own too, a Nix `FILE`; may be repeated")
}

// sourceArg is the SOURCE of a command line.
func sourceArg(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}

func (f *sourceFlags) evaluator(env Env, kind nixbridge.SourceKind) *nixbridge.Evaluator {
	e := &nixbridge.Evaluator{Nix: f.nix, CacheDir: f.cacheDir, Online: f.online, Workers: f.workers, MaxMemory: f.maxMemory, Timeout: f.timeout, Hosts: f.hosts, NoCache: f.noCache, NoLocations: f.noWhere}
	f.pass.apply(e)
	if f.conf != nil {
		e.Dialects = f.conf.dialects()
	}
	if !f.quiet {
		e.Progress = func(ev nixbridge.Event) {
			if ev.Kind == nixbridge.EventUncached && kind == nixbridge.FileSource {
				return // no file is ever kept, and it would be said each time
			}
			fmt.Fprintf(env.Stderr, "stateward: %s\n", printable(ev.String()))
		}
	}
	return e
}

// prepare reads the SOURCE of the command line and the configuration file that goes with it, once.
func (f *sourceFlags) prepare(env Env, args []string) error {
	if f.conf != nil {
		return nil
	}
	if slices.Contains(f.hosts, "") {
		return errors.New("--host is empty")
	}
	src, err := nixbridge.ParseSource(sourceArg(args))
	if err != nil {
		return err
	}
	c, err := f.configuration(env, src)
	if err != nil {
		return err
	}
	f.source, f.conf = src, c
	return nil
}

// evaluate runs nix, or reads a saved evaluation.
func (f *sourceFlags) evaluate(ctx context.Context, env Env, args []string) (*nixbridge.Evaluation, error) {
	if err := f.prepare(env, args); err != nil {
		return nil, err
	}
	ev, err := f.evaluator(env, f.source.Kind).Read(ctx, f.source, env.Stdin)
	if refused := (*nixbridge.RefusedError)(nil); errors.As(err, &refused) {
		return nil, err // wrong usage
	}
	if de := (*nixbridge.DialectError)(nil); errors.As(err, &de) {
		return nil, err // it is the fault of what was given beside the source
	}
	if err != nil {
		return nil, withStatus(StatusEvaluation, err)
	}
	if f.with = ev.Flags(); !f.quiet {
		noteFlags(env.Stderr, f.with)
	}
	if f.dialectsRead {
		if f.source.Kind != nixbridge.SavedSource {
			return nil, errors.New("--dialects-read is for saved evaluations")
		}
		if err := f.readDialects(ev); err != nil {
			return nil, withStatus(StatusEvaluation, err)
		}
	}
	if f.conf.dialect == nil && !f.noConfig {
		for _, h := range ev.Hosts {
			if h.Err == nil && h.Tree(stateDialect) != nil {
				return nil, withStatus(StatusEvaluation, &noTableError{f.source.Arg})
			}
		}
	}
	return ev, nil
}

// readDialects says whether an evaluation was read with all dialects that the configuration file names.
func (f *sourceFlags) readDialects(ev *nixbridge.Evaluation) error {
	for _, n := range f.conf.files {
		name, err := own.NameOf(n.file)
		if err != nil {
			return err
		}
		for _, h := range ev.Hosts {
			if h.Err == nil && h.Tree(name) == nil {
				return fmt.Errorf("host %s of %s was not read with the dialect %s of %s", h.Name, f.source.Arg, name, f.conf.name)
			}
		}
	}
	return nil
}

// noTableError says that state would be missed which was read.
type noTableError struct{ source string }

func (e *noTableError) Error() string {
	return fmt.Sprintf("%s was written with a state table of stateward.toml, and no such file is here", e.source)
}

func (e *noTableError) Hint() string {
	return "name it with --config FILE, or leave its rows out with --no-config"
}

// loaded is one host, or why there is none.
type loaded struct {
	name, source string
	host         *stateward.Host
	err          error
}

func (f *sourceFlags) load(ctx context.Context, env Env, args []string) ([]loaded, error) {
	ev, err := f.evaluate(ctx, env, args)
	if err != nil {
		return nil, err
	}
	return f.decode(env, ev), nil
}

// decode makes hosts of what was evaluated.
func (f *sourceFlags) decode(env Env, ev *nixbridge.Evaluation) []loaded {
	var out []loaded
	for _, h := range ev.Hosts {
		host, err := h.Decode()
		out = append(out, loaded{name: h.Name, source: h.Source, host: host, err: err})
	}
	f.noteDialects(env.Stderr, out)
	return out
}

// noteDialects says which of the user's own dialects applies to no host: one wrong name in its `detected`, and nothing that it
// was written for is looked at. Of a host that failed nothing is known.
func (f *sourceFlags) noteDialects(w io.Writer, hosts []loaded) {
	if slices.ContainsFunc(hosts, func(l loaded) bool { return l.err != nil }) {
		return
	}
	for _, d := range f.conf.own {
		if !slices.ContainsFunc(hosts, func(l loaded) bool { return slices.Contains(l.host.Dialects, d.Name) || undetected(l.host, d.Name) }) {
			fmt.Fprintf(w, "stateward: note: dialect %s applies to no host of %s\n", inLine(d.Name), inLine(f.source.Arg))
		}
	}
}

// undetected tells whether it is not known if a dialect applies: a finding says so.
func undetected(h *stateward.Host, name string) bool {
	return slices.ContainsFunc(h.Unknown, func(u stateward.Unknown) bool { return strings.Contains(u.Subject, name) })
}

// notOneOf says that a flag has no such value.
type notOneOf struct {
	got  string
	want []string
}

func (e *notOneOf) Error() string { return fmt.Sprintf("%q is none of %v", e.got, e.want) }
