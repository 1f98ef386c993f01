package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/internal/exec/guard"
	"github.com/stateward/stateward/nixbridge"
)

// GuardStatusOutput is what `stateward guard status -o json` prints.
type GuardStatusOutput struct {
	ProtocolVersion string `json:"protocolVersion"`
	// File is the journal.
	File string `json:"file"`
	// Pending are the overrides that no switch has used yet.
	Pending []guard.Entry `json:"pending"`
	// Entries are all lines, the oldest first; Unread is how many cannot be read.
	Entries []guard.Entry `json:"entries"`
	Unread  int           `json:"unread"`
}

type guardFlags struct {
	old, new, action, stateDir     string
	overrideDigest, overrideReason string
}

func newGuard(env Env) *cobra.Command {
	var f guardFlags
	cmd := &cobra.Command{
		Use:   "guard --old FILE --new FILE --action ACTION",
		Short: "Refuse a switch that would lose data",
		Long: `Guard compares what the running system was evaluated to with the incoming one, and refuses a switch that would lose data or what
protects it: state that survives today and would not, or of which that is not known any more; state that is looked for elsewhere;
retention that removes more; a preseed that fails open; an archive that ends. The NixOS module calls it before each switch:
stateward.guard.enable = true.

ACTION is that of switch-to-configuration. With switch, boot and test (and any other) what is refused is written down; check says the
same and writes nothing; dry-activate only tells.

Where the running system has no evaluation there is nothing to compare with: the faults of the new one are told, and it may pass. Where an
evaluation cannot be read the switch is refused: a guard that is broken lets nothing by.

stateward guard override lets one refused change pass, once, and writes down who did it and why. It holds for exactly what was
refused: with one more loss it is another change.

EXIT STATUS
  0  it may be switched to
  1  it would lose data
  2  wrong usage
  3  one of the evaluations cannot be read, or the host in it could not be evaluated
  4  it could not be written down that an override is used up
  The switch is refused with all but 0.`,
		Example: "  stateward guard --old /run/current-system/stateward/evaluation.json --new result/stateward/evaluation.json --action check\n  stateward guard override --reason \"the library is scanned again\"\n  stateward guard status",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), env)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.old, "old", "/run/current-system/stateward/evaluation.json", "the evaluation of the running system (`FILE`)")
	fs.StringVar(&f.new, "new", "", "the evaluation of the incoming system (`FILE`)")
	// What is not known here is taken for a switch: a later NixOS may have more of them.
	fs.StringVar(&f.action, "action", "check", "the `ACTION` of switch-to-configuration: switch, boot, test, check or dry-activate")
	stateDirFlag(cmd, &f.stateDir)
	fs.StringVar(&f.overrideDigest, "override-digest", "", "the `DIGEST` of the change that the configuration itself lets pass")
	fs.StringVar(&f.overrideReason, "override-reason", "", "why (`TEXT`)")
	cmd.AddCommand(newGuardOverride(env), newGuardStatus(env))
	return cmd
}

func stateDirFlag(cmd *cobra.Command, p *string) {
	cmd.Flags().StringVar(p, "state-dir", "/var/lib/stateward", "the `FOLDER` in which it is written down")
}

func (f *guardFlags) run(ctx context.Context, env Env) error {
	switch {
	case f.new == "":
		return &hintedError{errors.New("--new is missing"), "name the evaluation of the incoming system"}
	case (f.overrideDigest == "") != (strings.TrimSpace(f.overrideReason) == ""):
		return &hintedError{errors.New("an override needs both digest and reason"), "write stateward.guard.override = { digest = …; reason = …; }"}
	}
	v := f.judge(ctx, env)
	for _, note := range v.notes {
		fmt.Fprintf(env.Stderr, "stateward: %s\n", inLine(note))
	}
	if v.status == StatusOK {
		return nil
	}
	fmt.Fprintf(env.Stderr, "stateward: %s\n", inLine(v.head))
	for _, line := range v.loses {
		fmt.Fprintf(env.Stderr, "  - %s\n", inLine(line))
	}
	acts := f.action != "check" && f.action != "dry-activate"
	if f.overrideDigest == v.digest {
		fmt.Fprintf(env.Stderr, "stateward: the configuration lets it pass: %s\n", inLine(f.overrideReason))
		if acts {
			f.declared(env, v)
		}
		return nil
	}
	used, err := f.decide(env, v, acts)
	switch {
	case used != nil:
		fmt.Fprintf(env.Stderr, "stateward: overridden by %s at %s: %s\n", inLine(used.By), used.Time.Format(time.RFC3339), inLine(used.Reason))
		if err != nil {
			return withStatus(StatusStep, &hintedError{fmt.Errorf("the override could not be used up: %w", err), "it is refused: an override that is not written down is none"})
		}
		return nil
	case err != nil:
		fmt.Fprintf(env.Stderr, "stateward: it could not be written down: %s\n", printable(err.Error()))
	}
	if f.overrideDigest != "" {
		fmt.Fprintf(env.Stderr, "stateward: stateward.guard.override is of another change, %s\n", inLine(f.overrideDigest))
	}
	if f.action == "dry-activate" {
		fmt.Fprintf(env.Stderr, "stateward: a switch to it would be refused\n")
		return nil
	}
	fmt.Fprintf(env.Stderr, "  hint: mend it, or let exactly this pass, once: stateward guard override --digest %s --reason TEXT\n", v.digest)
	return &statusError{status: v.status}
}

// guardVerdict is what is to be said of a switch.
type guardVerdict struct {
	// status is StatusOK where it may pass.
	status int
	head   string
	loses  []string
	digest string
	notes  []string
}

// judge compares the two evaluations.
func (f *guardFlags) judge(ctx context.Context, env Env) guardVerdict {
	unreadable := func(side string, err error) guardVerdict {
		text := fmt.Sprintf("the evaluation of the %s system cannot be had: %s", side, err)
		if h := hintOf(err); h != "" {
			text += "; " + h
		}
		return guardVerdict{status: StatusEvaluation, head: "whether this switch loses data is not known", loses: []string{text}, digest: f.digestOfFiles()}
	}
	to, toErr := readGuarded(ctx, f.new, nil)
	if toErr != nil {
		return unreadable("incoming", toErr)
	}
	lacking := ""
	from, err := readGuarded(ctx, f.old, &lacking)
	now := func(l loaded) aggregate.Evaluated {
		e := evaluatedHost(l, nil, nil, env)
		e.Name = "host"
		return e
	}
	// A link that leads nowhere is no system without an evaluation.
	if _, none := os.Lstat(f.old); err != nil && errors.Is(none, fs.ErrNotExist) {
		v := guardVerdict{notes: []string{"the running system has no evaluation (" + f.old + "): what the switch changes is not known, and is known from the next one on"}}
		if to.err != nil {
			v.notes = append(v.notes, "the incoming system could not be evaluated: "+to.err.Error())
			return v
		}
		for _, d := range now(to).Report.Findings {
			if d.Severity == stateward.SeverityError && d.Counts() {
				v.notes = append(v.notes, d.Code+" "+d.Message)
			}
		}
		return v
	}
	if err != nil {
		return unreadable("running", err)
	}
	h := aggregate.Diff([]aggregate.Evaluated{now(from)}, []aggregate.Evaluated{now(to)})[0]
	if h.State == aggregate.HostUnknown {
		return guardVerdict{status: StatusEvaluation, head: "whether this switch loses data is not known", loses: []string{unknownWords(h)}, digest: f.digestOfFiles()}
	}
	loses := h.Loses()
	// What one machine keeps is nothing of another's: a switch to the wrong host is told by its name.
	if a, b := from.host.HostName.Or(""), to.host.HostName.Or(""); a != b && a != "" && b != "" {
		loses = append(loses, aggregate.Change{Effect: aggregate.Changed, Kind: aggregate.AboutHost, Loses: true, Subject: "networking.hostName", Old: a, New: b,
			Message: fmt.Sprintf("the running system is that of %s, and the incoming one that of %s: is it the right host?", a, b)})
	}
	v := guardVerdict{digest: digestOf(loses)}
	if lacking != "" {
		v.notes = append(v.notes, "the running system was read by another stateward, which read less of it: of that nothing is compared ("+lacking+")")
	}
	for _, e := range aggregate.Effects() {
		for _, l := range changeLines(loses, e) {
			text := l.text
			if l.Service != "" {
				text = l.Service + ": " + text
			}
			v.loses = append(v.loses, text)
		}
	}
	rest := slices.DeleteFunc(slices.Clone(h.Changes), func(c aggregate.Change) bool { return c.Loses || c.Kind == aggregate.AboutFinding })
	for _, e := range []aggregate.Effect{aggregate.Worse, aggregate.NotKnown, aggregate.Changed} {
		for _, l := range changeLines(rest, e) {
			if l.Severity >= stateward.SeverityWarning {
				v.notes = append(v.notes, "note: "+pickWord(l.Service != "", l.Service+": ", "")+l.text)
			}
		}
	}
	if len(loses) > 0 {
		v.status = StatusFindings
		v.head = "this switch would lose data, or what protects it:"
	}
	return v
}

// maxGuarded is far more than one host evaluates to.
const maxGuarded = 256 << 20

// readGuarded reads the one host of a saved evaluation. A host that could not be evaluated is no error here. Where lacking is given, nor is one of
// which another version has read less: lacking says so then.
func readGuarded(ctx context.Context, file string, lacking *string) (loaded, error) {
	info, err := os.Stat(file)
	if err != nil {
		return loaded{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxGuarded {
		return loaded{}, fmt.Errorf("%s is no evaluation of one host", file)
	}
	ev, err := (&nixbridge.Evaluator{}).Read(ctx, nixbridge.Source{Kind: nixbridge.SavedSource, Arg: file, Ref: file}, nil)
	if err != nil && lacking != nil {
		// Another stateward may have read less of the running system. What it did not read cannot be said to be lost.
		if f, opened := os.Open(file); opened == nil {
			defer f.Close()
			if less, read := nixbridge.ReadEvaluation(f); read == nil {
				*lacking = err.Error()
				ev, err = less, nil
			}
		}
	}
	if err != nil {
		return loaded{}, err
	}
	if len(ev.Hosts) != 1 {
		return loaded{}, fmt.Errorf("%s has %s, and not one", file, count(len(ev.Hosts), "host"))
	}
	h, err := ev.Hosts[0].Decode()
	return loaded{name: ev.Hosts[0].Name, source: file, host: h, err: err}, nil
}

// digestOf tells changes apart: it is of what would be lost, and not of the words for it.
func digestOf(loses []aggregate.Change) string {
	var facts []string
	for _, c := range loses {
		text, _ := json.Marshal([]string{string(c.Effect), string(c.Kind), c.Service, c.Path, string(c.Tier), c.Subject, c.Old, c.New}) // it cannot fail for texts
		facts = append(facts, string(text))
	}
	slices.Sort(facts)
	return shortDigest([]byte(strings.Join(facts, "\n")))
}

// digestOfFiles stands for a change of which nothing is known but the two files.
func (f *guardFlags) digestOfFiles() string {
	all := sha256.New()
	for _, name := range []string{f.old, f.new} {
		data, err := readRegular(name, maxGuarded)
		sum := sha256.Sum256(data)
		fmt.Fprintf(all, "%t %x\n", err == nil, sum)
	}
	return hex.EncodeToString(all.Sum(nil))[:digestLength]
}

const digestLength = 20

var digestText = regexp.MustCompile(`^[0-9a-f]{20}$`)

func shortDigest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])[:digestLength]
}

// decide looks for an override, and uses it up where something is done; else it writes down what is refused.
func (f *guardFlags) decide(env Env, v guardVerdict, acts bool) (used *guard.Entry, err error) {
	j := guard.Journal{Dir: f.stateDir}
	find := func(entries []guard.Entry) {
		for _, e := range guard.Pending(entries) {
			if e.Digest == v.digest && used == nil {
				used = &e
			}
		}
	}
	if !acts {
		entries, _, err := j.Read()
		find(entries)
		return used, err
	}
	err = j.Update(func(entries []guard.Entry, _ int) []guard.Entry {
		find(entries)
		e := guard.Entry{Time: env.now().UTC(), Event: guard.Refused, Digest: v.digest, Action: f.action, Loses: v.loses}
		if used != nil {
			e.Event, e.By, e.Reason, e.Loses = guard.Used, used.By, used.Reason, nil
		}
		return []guard.Entry{e}
	})
	return used, err
}

// declared writes down that a change was let pass by the configuration, which says so itself: where that fails it is told, and no more.
func (f *guardFlags) declared(env Env, v guardVerdict) {
	err := guard.Journal{Dir: f.stateDir}.Update(func([]guard.Entry, int) []guard.Entry {
		return []guard.Entry{{Time: env.now().UTC(), Event: guard.Used, Digest: v.digest, Action: f.action, Reason: f.overrideReason, Declared: true, Loses: v.loses}}
	})
	if err != nil {
		fmt.Fprintf(env.Stderr, "stateward: it could not be written down: %s\n", printable(err.Error()))
	}
}

func newGuardOverride(env Env) *cobra.Command {
	var dir, digest, reason string
	cmd := &cobra.Command{
		Use:   "override --reason TEXT [--digest DIGEST]",
		Short: "Let one refused switch pass, once",
		Long: `Override writes down that the change with this digest may be switched to although it loses data: who says so, when and why. It holds
for one switch to exactly what was refused. Without --digest it is the last switch that was refused.

` + exitStatus,
		Example: "  stateward guard override --reason \"the library is scanned again\"",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if strings.TrimSpace(reason) == "" {
				return &hintedError{errors.New("--reason is missing"), "say why this data may be lost; it is written down"}
			}
			if digest != "" && !digestText.MatchString(digest) {
				return &hintedError{fmt.Errorf("--digest: %q is no digest", digest), "copy it from what the guard printed"}
			}
			var e guard.Entry
			err := guard.Journal{Dir: dir}.Update(func(entries []guard.Entry, _ int) []guard.Entry {
				for _, old := range slices.Backward(entries) {
					if old.Event == guard.Refused && (digest == "" || old.Digest == digest) {
						e.Digest, e.Loses = old.Digest, old.Loses
						break
					}
				}
				if e.Digest == "" {
					e.Digest = digest
				}
				if e.Digest == "" {
					return nil
				}
				e.Time, e.Event, e.By, e.Reason = env.now().UTC(), guard.Overridden, person(env), reason
				return []guard.Entry{e}
			})
			if err != nil {
				return withStatus(StatusStep, fmt.Errorf("it could not be written down, and so nothing is overridden: %w", err))
			}
			if e.Digest == "" {
				return withStatus(StatusStep, &hintedError{errors.New("nothing was refused"), "give the --digest that the guard printed"})
			}
			fmt.Fprintf(env.Stdout, "one switch may pass that loses this (%s):\n", e.Digest)
			if len(e.Loses) == 0 {
				fmt.Fprintln(env.Stdout, "  what it is was not written down here: look at what the guard printed")
			}
			for _, line := range e.Loses {
				fmt.Fprintf(env.Stdout, "  - %s\n", inLine(line))
			}
			return nil
		},
	}
	stateDirFlag(cmd, &dir)
	cmd.Flags().StringVar(&digest, "digest", "", "the `DIGEST` of the change, as the guard printed it")
	cmd.Flags().StringVar(&reason, "reason", "", "why this may be lost (`TEXT`)")
	return cmd
}

// person is who runs this, and on whose behalf.
func person(env Env) string {
	name := fmt.Sprintf("uid %d", os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if by := env.Getenv("SUDO_USER"); by != "" && by != name {
		name = by + " as " + name
	}
	return name
}

func newGuardStatus(env Env) *cobra.Command {
	var dir, output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "List what was refused and what was overridden",
		Long: `Status lists what the guard refused, who overrode it and why, and which overrides no switch has used yet.

` + exitStatus,
		Example: "  stateward guard status -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			j := guard.Journal{Dir: dir}
			entries, unread, err := j.Read()
			if err != nil {
				return withStatus(StatusStep, err)
			}
			out := GuardStatusOutput{ProtocolVersion: protocolVersion, File: j.File(), Pending: append([]guard.Entry{}, guard.Pending(entries)...), Entries: append([]guard.Entry{}, entries...), Unread: unread}
			if output == "json" {
				return withStatus(StatusStep, writeJSON(env, out))
			}
			if len(entries) == 0 && unread == 0 {
				fmt.Fprintln(env.Stdout, "nothing was refused yet")
			}
			for _, e := range entries {
				text := fmt.Sprintf("%s  %-10s  %s", e.Time.Format(time.RFC3339), e.Event, e.Digest)
				if e.Action != "" {
					text += "  " + e.Action
				}
				switch {
				case e.Declared:
					text += "  by the configuration: " + e.Reason
				case e.Reason != "":
					text += "  by " + e.By + ": " + e.Reason
				}
				fmt.Fprintln(env.Stdout, inLine(text))
				if e.Event == guard.Refused || e.Declared {
					for _, l := range e.Loses {
						fmt.Fprintf(env.Stdout, "  - %s\n", inLine(l))
					}
				}
			}
			for _, e := range out.Pending {
				fmt.Fprintf(env.Stdout, "not used yet: %s\n", inLine(e.Digest+", "+e.Reason))
			}
			if unread > 0 {
				fmt.Fprintf(env.Stdout, "%s of %s cannot be read\n", count(unread, "line"), inLine(j.File()))
			}
			return nil
		},
	}
	stateDirFlag(cmd, &dir)
	choiceFlag(cmd, &output, "output", "o", "`FORMAT` of the output: text or json", "text", "text", "json")
	return cmd
}
