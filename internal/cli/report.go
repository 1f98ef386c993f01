package cli

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward/backup/drill"
	"github.com/stateward/stateward/internal/report"
	"github.com/stateward/stateward/nixbridge"
)

type reportFlags struct {
	checkFlags
	// file is where the page goes, moment of when it is.
	file, moment string
}

func newReport(env Env) *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use:   "report [SOURCE]",
		Short: "Draw what a check finds as one page of HTML",
		Long: `Report writes one page of HTML with what "stateward check" says of every host of SOURCE: the survival
matrix, the findings with what each of them means, what is accepted and why, what is not known, where
state lies and what copies of it there are, what each retention keeps for how long, and the restore drills.
The worst comes first.

The page is complete in itself: it asks nothing of the network, reads without JavaScript, on a dark
screen and on paper. The same evaluation gives the same page, as there is no time on it unless
--at says when.

` + exitStatus,
		Example: "  stateward report . -o report.html\n  stateward report .#forge --drills /var/lib/stateward/drill --at now -o forge.html\n  stateward report hosts.json > report.html",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.file == "" && env.StdoutTerminal {
				return &hintedError{errors.New("standard output is a terminal, and the page is for a browser"), "name a file with -o, such as -o report.html"}
			}
			var made time.Time
			switch f.moment {
			case "":
			case "now":
				made = env.now()
			default:
				var err error
				if made, err = time.Parse(time.RFC3339, f.moment); err != nil {
					made, err = time.Parse(time.DateOnly, f.moment)
				}
				if err != nil {
					return &hintedError{fmt.Errorf("--at: %q is no moment", f.moment), "write now, a day such as 2027-01-31, or a moment with its zone, such as 2027-01-31T12:00:00+01:00"}
				}
			}
			f.at = made
			if err := f.prepare(env, args); err != nil {
				return err
			}
			r, err := f.newRun(env, cmd.Flags().Changed("threshold"))
			if err != nil {
				return err
			}
			captures, err := readCaptures(f.captures)
			if err != nil {
				return err
			}
			if r.drills, err = readDrillsFlag(f.drills); err != nil {
				return err
			}
			ev, err := f.evaluate(cmd.Context(), env, args)
			if err != nil {
				return err
			}
			hosts := f.decode(env, ev)
			observed, err := assignCaptures(captures, hosts)
			if err != nil {
				return err
			}
			out := r.check(hosts, observed)
			out.EvaluatedWith = f.with
			page := f.page(ev, out, hosts, observed, r)
			page.Made = made
			var b bytes.Buffer
			if err := report.Write(&b, page); err != nil {
				return withStatus(StatusStep, err)
			}
			if f.file == "" || f.file == "-" {
				_, err = env.Stdout.Write(b.Bytes())
			} else {
				err = writeFile(f.file, b.Bytes(), 0o644)
			}
			if err != nil {
				return withStatus(StatusStep, fmt.Errorf("cannot write the report: %w", err))
			}
			for _, h := range out.Hosts {
				if h.Error != nil {
					printError(env.Stderr, &plainError{ErrorOutput{Message: "host " + h.Name + " failed: " + h.Error.Message, Hint: h.Error.Hint}})
				}
			}
			if status := out.status(r.threshold); status != StatusOK {
				return &statusError{status: status}
			}
			return nil
		},
	}
	f.register(cmd)
	fs := cmd.Flags()
	fs.StringVarP(&f.file, "output", "o", "", "write to `FILE`; \"-\", or nothing where that is no terminal, is standard output")
	fs.StringVar(&f.moment, "at", "", "say on the page that it is of this `MOMENT`, and judge by it: now, a day, or such as 2027-01-31T12:00:00+01:00")
	f.registerSeen(fs)
	f.registerJudging(cmd)
	return cmd
}

// page puts together what is drawn.
func (f *reportFlags) page(ev *nixbridge.Evaluation, out CheckOutput, hosts []loaded, observed map[int][]captured, r *checkRun) report.Page {
	p := report.Page{
		Source: ev.Source, Program: "stateward " + version(), Nix: ev.Nix, EvaluatedWith: out.EvaluatedWith, Configuration: f.conf.name, Findings: out.Findings, Judged: r.now,
	}
	if r.drills != nil {
		p.Drills = append([]drill.Record{}, r.drills.Records...)
	}
	for _, line := range totals(CheckOutput{Hosts: out.Hosts, Findings: nil, Excluded: out.Excluded, ExcludedBy: out.ExcludedBy, Baseline: out.Baseline}) {
		p.Notes = append(p.Notes, line+".")
	}
	for _, n := range out.Excluded {
		p.Excluded += n
	}
	for i, h := range out.Hosts {
		one := report.Host{Name: h.Name, Source: h.Source, Declared: hosts[i].host, Findings: h.Findings, Survival: h.Survival, Excluded: h.Excluded}
		if h.Root != nil {
			one.Root = *h.Root
		}
		if h.Error != nil {
			one.Declared, one.Failure = nil, &report.Failure{Message: h.Error.Message, Hint: h.Error.Hint, Place: h.Error.place()}
		}
		if o := observedOf(observed[i]); o != nil {
			one.Pools = o.Pools
		}
		for _, c := range h.Captures {
			one.Captures = append(one.Captures, report.Capture{File: c.File, Taken: c.Taken, Of: append(append([]string{}, c.Roots...), c.Pools...)})
		}
		p.Hosts = append(p.Hosts, one)
	}
	return p
}

// place is the file and line of an error.
func (e *ErrorOutput) place() string {
	if e.File != "" && e.Line > 0 {
		return fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	return e.File
}
