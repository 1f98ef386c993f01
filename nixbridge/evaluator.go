package nixbridge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/redact"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// Evaluator runs nix. Its zero value is useful. It may be used by several goroutines at once.
type Evaluator struct {
	// Nix is the program, a name on PATH or a file; empty means "nix". 2.8 or newer.
	Nix string
	// CacheDir is a private folder, the only one that nix writes to; it keeps copies of flakes and of
	// their inputs. Empty means stateward in the user's cache folder; where there is none, a temporary one.
	CacheDir string
	// Online lets nix fetch what is missing, with the caller's proxy and certificate variables and nix.conf.
	Online bool
	// MachineStore lets flakes be evaluated in the machine's own store instead of a private one:
	// inputs need not be copied, but nix writes the flake's source there, as it always does.
	MachineStore bool
	// Impure lets flakes read the machine, as nix' --impure does: absolute paths, builtins.currentTime, builtins.currentSystem.
	// builtins.getEnv sees the few variables that nix itself is given (PATH, a private HOME …) and nothing else of the
	// caller's environment, which may hold secrets. A .nix file may read the machine anyway.
	//
	// What is evaluated with it, with OverrideInputs or with NixOptions is never kept in the cache, and the [Evaluation] says so.
	Impure bool
	// OverrideInputs take inputs of the flake from elsewhere than its flake.lock says; the lock file itself stays as it is.
	OverrideInputs []InputOverride
	// NixOptions are further settings of nix. What would undo a promise of this package (where nix writes, that it runs no
	// program, that nothing is kept of a secret) is refused with a *[RefusedError]. With allow-import-from-derivation
	// a flake may build while it is evaluated; there is little to build it with in the private store, so that mostly needs Online.
	NixOptions []NixOption
	// Workers is how many nix of this Evaluator run at once at most, whatever goroutines asked for them; 0 means as many as there are processors. Memory may leave
	// room for fewer: each host is counted as what it took when it was evaluated last, with some to spare.
	Workers int
	// MaxMemory is what all nix of this Evaluator together may take, in bytes; 0 means three quarters of what the machine, or the
	// container, has available. The heap of each is bounded by its part of it.
	MaxMemory int64
	// MaxHeap bounds the heap of one nix in bytes, within MaxMemory; 0 means MaxMemory, or else 8 GiB. A host that runs out of its part
	// of the memory beside others is evaluated again with this much, alone if it must be.
	MaxHeap int64
	// Timeout is how long one host may take, and the list of all; 0 means for ever.
	Timeout time.Duration
	// NoCache evaluates anew, and keeps no evaluation. How much memory a host took, and which version of nix there is, is
	// written down all the same (memory.json and nix.json in the private folder), and so are copies of flakes.
	NoCache bool
	// NoLocations leaves out in which file what is read was defined: some of nix' time is saved.
	NoLocations bool
	// Hosts are the only ones to evaluate; nil means all.
	Hosts []string
	// Dialects are read; nil means the built-in ones. A saved evaluation is also read with those of one's own ([own.New]) that
	// it was made with: of these nothing but the name is needed.
	Dialects []dialect.Dialect
	// Progress is called as the work goes on, never by two goroutines at once.
	Progress func(Event)

	// machine stands in for /nix/store in tests.
	machine string
	// instantiate is the folder of a store of its own that derivations are written to; empty where none are.
	instantiate string
	// patience is how long a program may take to say its version; 0 means [versionPatience].
	patience time.Duration
	// above is the evaluator that this one works for, and whose processors, memory and voice it shares.
	above *Evaluator
	// mu is held while Progress is called.
	mu     sync.Mutex
	shared sharedSlots
	// flights are the hosts that are being evaluated: who asks for the same meanwhile waits.
	flights sync.Map
}

// EventKind tells what an [Event] is about.
type EventKind string

// The kinds of events.
const (
	// EventInput is a flake input that is copied into the private folder.
	EventInput EventKind = "input"
	// EventList is the source whose hosts nix begins to list.
	EventList EventKind = "list"
	// EventWait is a wait for another process that uses the private folder.
	EventWait EventKind = "wait"
	// EventHosts tells how many hosts there are.
	EventHosts EventKind = "hosts"
	// EventStart is a host whose evaluation begins.
	EventStart EventKind = "start"
	// EventAgain is a host that is evaluated again, without what failed.
	EventAgain EventKind = "again"
	// EventMemory is a host that is evaluated again with more memory, after it ran out of its part beside others.
	EventMemory EventKind = "memory"
	// EventCached is a host that need not be evaluated, since nothing has changed.
	EventCached EventKind = "cached"
	// EventUncached says why an evaluation is not kept: of the source as a whole, or of one host.
	EventUncached EventKind = "uncached"
	// EventDone is a host that is done, well or not.
	EventDone EventKind = "done"
	// EventInterrupted is a host that was given up because the context of the whole ended.
	EventInterrupted EventKind = "interrupted"
)

// Event says how far the work is.
type Event struct {
	Kind  EventKind
	Host  string
	Input string
	// Source is what is listed, for EventList.
	Source string
	// Place is what failed, for EventAgain.
	Place string
	// Reason is why, for EventUncached.
	Reason string
	// Limit is what the host may take now, in bytes, for EventMemory.
	Limit int64
	// Done of Total hosts are done.
	Done, Total int
	Duration    time.Duration
	// Err is why a host that is done failed.
	Err error
}

// String is one line for people.
func (e Event) String() string {
	switch e.Kind {
	case EventInput:
		return "copying flake input " + e.Input
	case EventList:
		return "listing hosts of " + redact.Address(e.Source)
	case EventWait:
		return "waiting for another stateward that uses the private folder"
	case EventHosts:
		if e.Total == 1 {
			return "evaluating 1 host"
		}
		return fmt.Sprintf("evaluating %d hosts", e.Total)
	case EventStart:
		return "evaluating " + e.Host
	case EventAgain:
		return fmt.Sprintf("evaluating %s again without %s", e.Host, e.Place)
	case EventMemory:
		return fmt.Sprintf("evaluating %s again with up to %d MiB of memory", e.Host, e.Limit/mib)
	case EventCached:
		return fmt.Sprintf("%s is unchanged (%d of %d)", e.Host, e.Done, e.Total)
	case EventUncached:
		if e.Host == "" {
			return "not kept for the next time: " + e.Reason
		}
		return fmt.Sprintf("%s is not kept for the next time: %s", e.Host, e.Reason)
	case EventInterrupted:
		return fmt.Sprintf("evaluating %s was interrupted", e.Host)
	case EventDone:
		if e.Err != nil {
			return fmt.Sprintf("%s failed (%d of %d)", e.Host, e.Done, e.Total)
		}
		return fmt.Sprintf("%s evaluated in %.1f s (%d of %d)", e.Host, e.Duration.Seconds(), e.Done, e.Total)
	}
	return string(e.Kind)
}

func (e *Evaluator) nixName() string {
	if e.Nix == "" {
		return "nix"
	}
	return e.Nix
}

func (e *Evaluator) dialects() []dialect.Dialect {
	if e.Dialects != nil {
		return e.Dialects
	}
	return BuiltinDialects()
}

// top is the evaluator that the caller has.
func (e *Evaluator) top() *Evaluator {
	for e.above != nil {
		e = e.above
	}
	return e
}

func (e *Evaluator) progress(ev Event) {
	if e.Progress == nil {
		return
	}
	top := e.top()
	top.mu.Lock()
	defer top.mu.Unlock()
	e.Progress(ev)
}

// Read evaluates a source or reads it, if it is a saved evaluation. stdin is what
// the source "-" reads.
func (e *Evaluator) Read(ctx context.Context, src Source, stdin io.Reader) (*Evaluation, error) {
	if src.Kind != SavedSource {
		return e.Evaluate(ctx, src)
	}
	if err := e.accept(src); err != nil {
		return nil, err
	}
	name := src.Ref
	if name == "-" {
		name = "standard input"
		if stdin == nil {
			stdin = strings.NewReader("")
		}
	} else {
		f, err := openSaved(src)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		stdin = f
	}
	ev, err := ReadEvaluation(stdin)
	if err == nil && len(e.Hosts) > 0 {
		err = ev.Select(e.Hosts)
	}
	if err == nil {
		err = namedOnce(e.dialects())
	}
	if err == nil {
		err = ev.complete(e.dialects())
	}
	if fe := (*FormatError)(nil); errors.As(err, &fe) {
		fe.Name = name
	} else if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = cannotRead(src, err)
	}
	if err != nil {
		return nil, err
	}
	for _, h := range ev.Hosts {
		h.dialects = fromTree(h, e.dialects())
		// What a flake wrote of itself (lib.evaluation) has more of them than what Evaluate gives.
		withoutSecretValues(h.tree)
	}
	return ev, nil
}

// Evaluate runs nix on a flake or a .nix file: once to list the hosts, then once
// for each host, several side by side. A host that fails has its error in the
// Evaluation and hides no other. Evaluate itself fails where the hosts cannot even be listed: with one of
// this package's error types, or with the cause of ctx.
func (e *Evaluator) Evaluate(ctx context.Context, src Source) (*Evaluation, error) {
	if src.Kind == SavedSource {
		return nil, &SourceError{src.Arg, "is a saved evaluation, which is read and not evaluated", "", nil}
	}
	if err := cmp.Or(namedOnce(e.dialects()), fit(e.dialects())); err != nil {
		return nil, err
	}
	s, done, err := e.open(ctx, src)
	if err != nil {
		return nil, err
	}
	defer done()
	var why string
	if s.key, why = s.fingerprint(ctx); why != "" && ctx.Err() == nil {
		s.progress(Event{Kind: EventUncached, Reason: why})
	}
	hosts, cached := s.cachedHosts()
	if !cached {
		s.progress(Event{Kind: EventList, Source: src.Arg})
		if hosts, err = s.listInTime(ctx); err == nil {
			s.keepHosts(ctx, hosts)
		}
	}
	if err == nil {
		hosts, err = s.wanted(hosts)
	}
	if err != nil {
		return nil, err
	}
	s.progress(Event{Kind: EventHosts, Total: len(hosts)})
	defer s.slots.among(len(hosts))()
	defer s.keepPeaks()

	ev := &Evaluation{Nix: s.version, Source: src.shown(), Limited: s.limited, Hosts: make([]*HostEvaluation, len(hosts))}
	if src.Kind == FileSource {
		ev.Folder = s.root
	}
	s.passed(ev)
	check := sync.OnceValue(func() error { return s.checkWritten(ctx) })
	var g errgroup.Group
	var mu sync.Mutex
	finished := 0
	finish := func(i int, kind EventKind, he *HostEvaluation, took time.Duration) {
		he.dialects = e.dialects()
		mu.Lock()
		defer mu.Unlock()
		ev.Hosts[i] = he
		finished++
		s.progress(Event{Kind: kind, Host: he.Name, Done: finished, Total: len(hosts), Duration: took, Err: he.Err})
	}
	for i, h := range hosts {
		g.Go(func() error {
			if he, ok := s.cachedHost(h); ok {
				finish(i, EventCached, he, 0)
				return nil
			}
			began := time.Now()
			he, err := s.evaluateOnce(ctx, h, func() (*HostEvaluation, error) {
				slot, err := s.slots.acquire(ctx, s.peakKey(h.path))
				if err != nil {
					return nil, err
				}
				defer slot.release()
				if err := check(); err != nil {
					return nil, err
				}
				s.progress(Event{Kind: EventStart, Host: h.name, Total: len(hosts)})
				began = time.Now()
				he := s.evaluateHost(ctx, h, slot)
				if ctx.Err() != nil && he.Err != nil {
					s.progress(Event{Kind: EventInterrupted, Host: h.name, Total: len(hosts), Duration: time.Since(began)})
					return nil, context.Cause(ctx)
				}
				return he, nil
			})
			if err != nil {
				return err
			}
			finish(i, EventDone, he, time.Since(began))
			return nil
		})
	}
	err = g.Wait()
	if ctx.Err() != nil {
		return nil, &InterruptedError{context.Cause(ctx)}
	}
	if err != nil {
		return nil, err
	}
	if src.Kind == FlakeSource {
		ev.Folder = s.ownFolder(ev.Hosts)
	}
	return ev, nil
}

// flight is a host that is being evaluated.
type flight struct {
	// done is closed once he is there.
	done chan struct{}
	he   *HostEvaluation
}

// evaluateOnce evaluates a host and keeps the result. Who asks for the same host of the same source
// meanwhile gets the same, and waits for it without a slot: who evaluates may need all the memory that there is.
func (s *session) evaluateOnce(ctx context.Context, h hostPlace, evaluate func() (*HostEvaluation, error)) (*HostEvaluation, error) {
	if s.key == "" {
		return evaluate()
	}
	// Not singleflight: who is cancelled must wait for a nix of its own to be gone, and for nobody else's.
	key := s.entryKey("host", h.path)
	mine := &flight{done: make(chan struct{})}
	v, taken := s.flights.LoadOrStore(key, mine)
	f := v.(*flight)
	if !taken {
		defer func() {
			s.flights.Delete(key)
			close(f.done)
		}()
		if he, ok := s.cachedHost(h); ok {
			// Somebody has just been done with it.
			f.he = he
		} else {
			he, err := evaluate()
			if err != nil {
				return nil, err
			}
			f.he = he
			if ctx.Err() == nil {
				s.keepHost(ctx, h, he)
			}
		}
	} else {
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if f.he == nil || f.he.Err != nil {
			// What the other met may have been of its own: a time-out, an interrupt.
			return evaluate()
		}
	}
	he := f.he
	// Each gets one of its own: the next may still be reading it.
	c := *he
	c.Source = s.src.Host(h.name)
	return &c, nil
}

// hostPlace is a host and where it is found below what nix is told to evaluate.
type hostPlace struct {
	name string
	path []string
}

// wantsModuleArgument tells that a function was called without what only the module system gives.
var wantsModuleArgument = regexp.MustCompile(`(?:an argument without a value \(|without required argument )['"‘]?(?:config|options|lib|pkgs|modulesPath|utils)\b`)

// undecoded is how nix 2.8 fails at a reference with an escape, which it takes literally.
var undecoded = regexp.MustCompile(`getting status of '[^']*%[0-9A-F]{2}|program 'git' failed with exit code 128`)

func notEvaluated(src Source) error {
	return &SourceError{src.Arg, "is a module, not an evaluated configuration",
		"name a flake, or a file that calls lib.nixosSystem or nixpkgs' nixos/lib/eval-config.nix with it", nil}
}

// listInTime is [session.list] within the time that a host may take.
func (s *session) listInTime(ctx context.Context) ([]hostPlace, error) {
	ctx, cancel := s.within(ctx, "the list of hosts")
	defer cancel()
	return s.list(ctx)
}

// within bounds what has to be done before hosts are evaluated.
func (e *Evaluator) within(ctx context.Context, what string) (context.Context, context.CancelFunc) {
	if e.Timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, e.Timeout, &TimeoutError{What: what, After: e.Timeout})
}

// list finds the hosts of the source.
func (s *session) list(ctx context.Context) ([]hostPlace, error) {
	log := &nixLog{}
	out, _, err := s.start(ctx, "", s.slots.most, log, s.evalArgs(listExpression(s.src.Kind, s.src.Attr)))
	if err := s.overridden(log); err != nil {
		return nil, err
	}
	var ee *EvalError
	if s.src.Kind == FileSource && errors.As(err, &ee) && wantsModuleArgument.MatchString(ee.Message) {
		return nil, notEvaluated(s.src)
	}
	if s.src.Kind == FlakeSource && s.root != "" && strings.Contains(s.ref, "%") && errors.As(err, &ee) && undecoded.MatchString(ee.Message) {
		return nil, &SourceError{s.src.Arg, "lies in a folder that nix " + s.version + " cannot name",
			"take blanks, #, % and letters beyond ASCII out of the folder's path, or name a newer nix with --nix", err}
	}
	if i := slices.IndexFunc(s.overrides, func(o InputOverride) bool { return strings.Contains(o.Ref, "%") }); i >= 0 && errors.As(err, &ee) && undecoded.MatchString(ee.Message) {
		return nil, &RefusedError{"--override-input " + s.overrides[i].Name, "it lies in a folder that nix " + s.version + " cannot name",
			"take blanks, #, % and letters beyond ASCII out of the folder's path, or name a newer nix with --nix"}
	}
	if err != nil {
		return nil, err
	}
	var found struct {
		Hosts   []string `json:"hosts"`
		Host    bool     `json:"host"`
		Module  bool     `json:"module"`
		Inside  bool     `json:"inside"`
		Missing *int     `json:"missing"`
		Names   []string `json:"names"`
		Other   string   `json:"other"`
	}
	if log.unlocked && s.key != "" {
		s.key = ""
		s.progress(Event{Kind: EventUncached, Reason: "flake.lock does not pin all inputs (nix flake lock)"})
	}
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		return nil, &CrashError{Err: fmt.Errorf("nix printed no list of hosts: %w", err)}
	}
	path := s.src.Attr
	if s.src.Kind == FlakeSource {
		path = nil
	}
	switch {
	case found.Missing != nil && *found.Missing < len(path):
		i := *found.Missing
		where := s.src.Ref
		if i > 0 {
			where += "#" + stateward.OptionPath(path[:i]...)
		}
		return nil, &MissingAttributeError{Source: where, Attribute: "attribute " + stateward.OptionPath(path[i]), Names: found.Names}
	case found.Module:
		return nil, notEvaluated(s.src)
	case found.Other != "" && s.src.Kind == FlakeSource:
		return nil, &MissingAttributeError{Source: s.src.Arg, Attribute: "hosts: nixosConfigurations is of type " + found.Other + ", and no set of hosts"}
	case found.Other != "":
		return nil, &MissingAttributeError{Source: s.src.Arg, Attribute: "hosts: it is of type " + found.Other}
	case found.Host:
		name := strings.TrimSuffix(filepath.Base(s.src.Ref), ".nix")
		if len(path) > 0 {
			name = path[len(path)-1]
		}
		s.limited = true
		return []hostPlace{{name, path}}, nil
	}
	if found.Inside {
		path = append(slices.Clone(path), "nixosConfigurations")
	}
	if s.src.Kind == FlakeSource && len(s.src.Attr) == 1 {
		want := s.src.Attr[0]
		if !slices.Contains(found.Hosts, want) {
			return nil, &MissingAttributeError{Source: s.src.Ref, Attribute: "host " + strconv.Quote(want), Names: found.Hosts}
		}
		found.Hosts = []string{want}
		s.limited = true
	}
	if len(found.Hosts) == 0 {
		return nil, &NoHostsError{Source: s.src.Arg}
	}
	var hosts []hostPlace
	for _, n := range found.Hosts {
		hosts = append(hosts, hostPlace{n, append(slices.Clone(path), n)})
	}
	return hosts, nil
}

// wanted leaves those hosts that were asked for.
func (s *session) wanted(hosts []hostPlace) ([]hostPlace, error) {
	if len(s.Hosts) == 0 {
		return hosts, nil
	}
	s.limited = true
	var names []string
	for _, h := range hosts {
		names = append(names, h.name)
	}
	for _, want := range s.Hosts {
		if !slices.Contains(names, want) {
			return nil, &MissingAttributeError{Source: s.src.Arg, Attribute: "host " + strconv.Quote(want), Names: names}
		}
	}
	return slices.DeleteFunc(hosts, func(h hostPlace) bool { return !slices.Contains(s.Hosts, h.name) }), nil
}
