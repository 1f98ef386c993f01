package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	runner "github.com/stateward/stateward/internal/run"
	"github.com/stateward/stateward/nixbridge"
)

// DiffOutput is what `stateward diff -o json` prints.
type DiffOutput struct {
	ProtocolVersion string     `json:"protocolVersion"`
	Old             DiffSource `json:"old"`
	New             DiffSource `json:"new"`
	// Hosts are sorted by name.
	Hosts []aggregate.HostDiff `json:"hosts"`
}

// DiffSource is one of the two evaluations that are compared.
type DiffSource struct {
	Source string `json:"source"`
	// EvaluatedWith is as in the output of check.
	EvaluatedWith []string `json:"evaluatedWith,omitempty"`
}

type diffFlags struct {
	sourceFlags
	output, threshold, rev string
	// places are where the files of the new side are.
	places places
}

func newDiff(env Env) *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:   "diff OLD NEW | diff --rev REV [SOURCE]",
		Short: "Say what a change does to what survives",
		Long: `Diff evaluates two sources and says, host by host, what becomes of the data on the way from OLD to NEW:
which state survives no more, and which does now; what retention will remove; which datasets are made, and which are
declared no more; what becomes of backup jobs, preseeds and recovery of PostgreSQL; which findings are new.

OLD and NEW are sources as of every command: flakes, Nix files, saved evaluations. With --rev they are revisions of the git
repository that the flake SOURCE lies in, each with the stateward.toml that it has:
  --rev main         from main to the files as they lie there now
  --rev main..       from main to the commit that is checked out; main..topic to another one
  --rev main...topic from where topic left main, as a pull request shows it

What was known and is not any more is told as such, and never as good. A host that cannot be evaluated on one side is
unknown, and not unchanged.

Status 1 means that something gets worse, is not known any more, or is to be looked at: a change of severity warning or
above (--threshold). With --threshold error these are the changes that lose data or what protects it, and new findings of that severity.
--host compares one host; it has to be there in both, or in one.

` + exitStatus,
		Example: "  stateward diff --rev main\n  stateward diff --rev origin/main...HEAD -o markdown > comment.md\n  stateward diff old.json new.json --host forge",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), env, args)
		},
	}
	f.register(cmd)
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text, markdown, json or github (workflow commands)", "text", "text", "markdown", "json", "github")
	cmd.Flags().StringVar(&f.threshold, "threshold", "warning", "least `SEVERITY` of a change that makes the exit status 1: info, warning or error")
	cmd.Flags().StringVar(&f.rev, "rev", "", "compare revisions of one flake: `REV`, OLD.. , OLD..NEW or OLD...NEW")
	return cmd
}

func (f *diffFlags) run(ctx context.Context, env Env, args []string) error {
	threshold, err := stateward.ParseSeverity(f.threshold)
	if err != nil {
		return fmt.Errorf("--threshold: %w", err)
	}
	var old, new diffSide
	switch {
	case f.rev != "" && len(args) > 1:
		return &hintedError{errors.New("--rev takes one source, and there are two"), "leave --rev out to compare two sources"}
	case f.rev != "":
		if old, new, err = f.revisions(ctx, sourceArg(args)); err != nil {
			return err
		}
	case len(args) < 2:
		return &hintedError{errors.New("there is nothing to compare with"), "name OLD and NEW, or a revision: stateward diff --rev main"}
	default:
		old.arg, new.arg = args[0], args[1]
		if old.arg == "-" && new.arg == "-" {
			return errors.New("both sources are standard input")
		}
	}
	out := DiffOutput{ProtocolVersion: protocolVersion}
	hosts := f.hosts
	var before, after []aggregate.Evaluated
	if out.Old, before, err = f.side(ctx, env, old); err != nil {
		return err
	}
	if out.New, after, err = f.side(ctx, env, new); err != nil {
		return err
	}
	// Of revisions the files are those of the checkout, where they are there.
	where := new.arg
	if f.rev != "" {
		where = sourceArg(args)
	}
	if src, err := nixbridge.ParseSource(where); err == nil {
		f.places = newPlaces(env, src)
	}
	if len(hosts) > 0 {
		pick := func(list []aggregate.Evaluated) []aggregate.Evaluated {
			return slices.DeleteFunc(list, func(e aggregate.Evaluated) bool { return !slices.Contains(hosts, e.Name) })
		}
		before, after = pick(before), pick(after)
		for _, name := range hosts {
			named := func(e aggregate.Evaluated) bool { return e.Name == name }
			if !slices.ContainsFunc(before, named) && !slices.ContainsFunc(after, named) {
				return withStatus(StatusEvaluation, fmt.Errorf("neither %s nor %s has a host %q", out.Old.Source, out.New.Source, name))
			}
		}
	}
	out.Hosts = aggregate.Diff(before, after)
	if err := f.print(env.Stdout, env, out); err != nil {
		return withStatus(StatusStep, err)
	}
	if status := diffStatus(out.Hosts, threshold); status != StatusOK {
		return &statusError{status: status}
	}
	return nil
}

// diffStatus is the exit status: what is better, or known now, counts for nothing.
func diffStatus(hosts []aggregate.HostDiff, threshold stateward.Severity) int {
	status := StatusOK
	for _, h := range hosts {
		if h.State == aggregate.HostUnknown {
			return StatusEvaluation
		}
		for _, c := range h.Changes {
			if c.Severity >= threshold && c.Effect != aggregate.Better && c.Effect != aggregate.NowKnown {
				status = StatusFindings
			}
		}
	}
	return status
}

// diffSide is one of the sources. readConfig reads the configuration file that goes with it; nil where it lies beside it.
type diffSide struct {
	arg, shown string
	readConfig func(string) ([]byte, error)
}

// side evaluates one of the sources. All of its hosts are evaluated where some are asked for: of one that is on the other side only, this one
// would say that it is not there.
func (f *diffFlags) side(ctx context.Context, env Env, s diffSide) (DiffSource, []aggregate.Evaluated, error) {
	one := f.sourceFlags
	one.hosts, one.readConfig = nil, s.readConfig
	hosts, err := one.load(ctx, env, []string{s.arg})
	if err != nil {
		return DiffSource{}, nil, err
	}
	src := DiffSource{Source: s.shown, EvaluatedWith: one.with}
	if src.Source == "" {
		src.Source = one.source.Arg
	}
	var fleet []*stateward.Host
	for _, l := range hosts {
		if l.host != nil {
			fleet = append(fleet, l.host)
		}
	}
	var out []aggregate.Evaluated
	for _, l := range hosts {
		out = append(out, evaluatedHost(l, fleet, one.conf.acks, env))
	}
	return src, out, nil
}

func evaluatedHost(l loaded, fleet []*stateward.Host, acks []stateward.Acknowledgement, env Env) aggregate.Evaluated {
	e := aggregate.Evaluated{Name: l.name, Host: l.host}
	if l.err != nil {
		e.Host, e.Problem = nil, l.err.Error()
		return e
	}
	e.Report = aggregate.Lint(aggregate.Input{Host: l.host, Fleet: fleet, Acknowledgements: acks, Now: env.now()})
	return e
}

// revisionError says why a revision cannot be compared.
type revisionError struct{ reason, hint string }

func (e *revisionError) Error() string { return e.reason }
func (e *revisionError) Hint() string  { return e.hint }

// revisions makes sources of what --rev names.
func (f *diffFlags) revisions(ctx context.Context, arg string) (old, new diffSide, err error) {
	src, err := nixbridge.ParseSource(arg)
	if err != nil {
		return old, new, err
	}
	_, root, ok := src.Folder()
	repo, local := src.Local()
	if src.Kind != nixbridge.FlakeSource || !ok || !local || strings.Contains(src.Ref, "?") || strings.HasPrefix(src.Ref, "path:") {
		return old, new, &revisionError{fmt.Sprintf("--rev compares revisions of a flake in a git repository here, and %s is none", arg), "name two sources instead: stateward diff OLD NEW"}
	}
	git := func(args ...string) (string, error) {
		r, err := runner.Run(ctx, runner.Cmd{Path: "git", Args: append([]string{"-C", repo}, args...), Env: os.Environ(), MaxStdout: 1 << 20})
		if err != nil {
			return "", err
		}
		return strings.TrimSpace(string(r.Stdout)), nil
	}
	if _, err := git("rev-parse", "--git-dir"); err != nil {
		if ctx.Err() != nil {
			return old, new, withStatus(StatusEvaluation, context.Cause(ctx))
		}
		return old, new, &revisionError{fmt.Sprintf("%s lies in no git repository that can be read", arg), "git -C " + repo + " status says why"}
	}
	commit := func(rev string) (string, error) {
		hash, err := git("rev-parse", "--verify", "--quiet", "--end-of-options", rev+"^{commit}")
		if err != nil {
			return "", withStatus(StatusEvaluation, &revisionError{fmt.Sprintf("git knows of no commit %q", rev), "fetch it first; a checkout of CI has the newest commit only, unless it asks for more (fetch-depth: 0)"})
		}
		return hash, nil
	}
	from, to, both := strings.Cut(f.rev, "..")
	since := both && strings.HasPrefix(to, ".")
	to = strings.TrimPrefix(to, ".")
	if from == "" {
		return old, new, &hintedError{fmt.Errorf("--rev %q names no revision to start from", f.rev), "write such as main, main.. or main...topic"}
	}
	a, err := commit(from)
	if err != nil {
		return old, new, err
	}
	side := func(name, hash string) diffSide {
		sub, err := filepath.Rel(repo, root)
		if err != nil || sub == "." {
			sub = ""
		}
		query := url.Values{"rev": {hash}}
		if sub != "" {
			query.Set("dir", filepath.ToSlash(sub))
		}
		ref := "git+file://" + (&url.URL{Path: repo}).EscapedPath() + "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
		shown := name
		if name != hash {
			shown += " (" + hash[:12] + ")"
		}
		if _, fragment, has := strings.Cut(arg, "#"); has {
			ref += "#" + fragment
		}
		return diffSide{arg: ref, shown: shown, readConfig: func(file string) ([]byte, error) {
			text, err := git("cat-file", "blob", hash+":"+filepath.ToSlash(filepath.Join(sub, configName)))
			if err != nil {
				return nil, &os.PathError{Op: "read", Path: file, Err: os.ErrNotExist}
			}
			return []byte(text), nil
		}}
	}
	if !both {
		return side(from, a), diffSide{arg: arg}, nil
	}
	if to == "" {
		to = "HEAD"
	}
	b, err := commit(to)
	if err != nil {
		return old, new, err
	}
	if since {
		if a, err = git("merge-base", a, b); err != nil {
			return old, new, withStatus(StatusEvaluation, &revisionError{fmt.Sprintf("%s and %s have no commit in common", from, to), "fetch more of the history, or compare them as they are: " + from + ".." + to})
		}
		from = "where " + to + " left " + from
	}
	return side(from, a), side(to, b), nil
}

func (f *diffFlags) print(w io.Writer, env Env, out DiffOutput) error {
	switch f.output {
	case "json":
		return writeJSON(env, out)
	case "markdown":
		_, err := io.WriteString(w, diffMarkdown(out))
		return err
	case "github":
		_, err := io.WriteString(w, diffGitHub(out, f.places))
		return err
	}
	_, err := io.WriteString(w, diffText(out))
	return err
}
