package nixbridge

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

const (
	// maxDepth bounds the nesting of what nix prints and of saved evaluations.
	maxDepth = 512
	// maxAgain bounds how often a host is evaluated again because of errors that end the evaluation. From
	// then on whole sections are given up, which needs a run for each at most.
	maxAgain = 64
	// maxLast is when the host itself is given up.
	maxLast = 2 * maxAgain
	// maxMessages bounds how many values that throw are evaluated once more for their message.
	maxMessages = 16
	// maxMemory bounds how often nix may run out of memory on one host: each time is slow.
	maxMemory = 2
)

// hostRun is the evaluation of one host.
type hostRun struct {
	*session
	hostPlace
	slot *slot
	skip placeSet
	// blamed are the places in skip, with their errors.
	blamed []blame
	// same counts errors that are equal, below a prefix.
	same map[string]int
	utf8 bool
	// clock ends the evaluation Timeout after it began; nil where it may take for ever.
	clock *time.Timer
	began time.Time
}

// grow is [slot.grow], without counting the time that others take meanwhile.
func (r *hostRun) grow(ctx context.Context) (bool, error) {
	if r.clock == nil || !r.clock.Stop() {
		return r.slot.grow(ctx)
	}
	waits := time.Now()
	defer func() {
		r.began = r.began.Add(time.Since(waits))
		r.clock.Reset(time.Until(r.began.Add(r.Timeout)))
	}()
	return r.slot.grow(ctx)
}

type blame struct {
	path []string
	err  error
}

func (s *session) evaluateHost(ctx context.Context, h hostPlace, slot *slot) *HostEvaluation {
	r := &hostRun{session: s, hostPlace: h, slot: slot, same: map[string]int{}}
	if s.Timeout > 0 {
		var cancel context.CancelCauseFunc
		ctx, cancel = context.WithCancelCause(ctx)
		r.began = time.Now()
		r.clock = time.AfterFunc(s.Timeout, func() { cancel(&TimeoutError{Host: h.name, After: s.Timeout}) })
		defer func() {
			r.clock.Stop()
			cancel(nil)
		}()
	}
	he := &HostEvaluation{Name: h.name, Source: s.src.Host(h.name)}
	late := ""
	v, err := r.evaluate(ctx)
	if err == nil {
		slot.shrink()
		err = r.explain(ctx, v)
		// What was read is there, be it without its messages; with more time they may be had.
		if te := (*TimeoutError)(nil); errors.As(err, &te) {
			late, err = "there was no time to ask why values throw: "+te.Error(), nil
		}
	}
	if err == nil {
		err = wholeFailure(h.name, v)
	}
	if err != nil {
		if te := (*TimeoutError)(nil); errors.As(err, &te) && te.Host != "" {
			err = &TimeoutError{Host: te.Host, After: te.After, whole: true}
		}
		he.Status, he.Err = stateward.StatusFailed, err
		return he
	}
	he.tree, he.transient = v, late
	for _, b := range r.blamed {
		if k := KindOf(b.err); k == Network || k == OutOfMemory || k == StackOverflow || k == Crash {
			he.transient = fmt.Sprintf("of %s, %v", placeName(b.path), b.err)
		}
	}
	he.Status = stateward.StatusOK
	v.EachUnknown(func(path []string, _ *dialect.Value) {
		if !isWhere(path) {
			he.Status = stateward.StatusPartial
		}
	})
	return he
}

// isWhere tells whether a place only locates definitions.
func isWhere(path []string) bool { return len(path) > 1 && path[1] == "where" }

// evaluate reads the host, with every place announced before it is entered. An
// error that tryEval cannot catch ends the whole evaluation, so it is done again without the
// place announced last, until what is left can be evaluated.
func (r *hostRun) evaluate(ctx context.Context) (*dialect.Value, error) {
	// Whatever the configuration itself prints cannot be taken for an announcement.
	mark := "stateward " + rand.Text() + " "
	memory := 0
	for again := 0; ; {
		log := &nixLog{mark: []byte(mark), full: true}
		out, err := r.read(ctx, r.slot, log, probeArgs{skip: &r.skip, mark: mark, utf8: r.utf8, where: !r.NoLocations})
		if err == nil {
			v, err := r.parse(out)
			if isBadText(err) && !r.utf8 {
				r.utf8 = true
				continue
			}
			if err != nil {
				return nil, err
			}
			r.located(v)
			r.besideWritten(v)
			withoutSecretValues(v)
			return v, nil
		}
		if isBadText(err) && !r.utf8 {
			r.utf8 = true
			continue
		}
		if !blamable(err) {
			return nil, err
		}
		if me := (*MemoryError)(nil); errors.As(err, &me) {
			// It is only out of memory if it had all that there is for one.
			if more, err := r.grow(ctx); err != nil {
				return nil, err
			} else if more {
				r.progress(Event{Kind: EventMemory, Host: r.name, Limit: r.slot.heap})
				continue
			}
			if memory++; memory > maxMemory {
				return nil, err
			}
		}
		place, ok := log.announced()
		if !ok || len(place) == 0 {
			// The configuration itself cannot be had.
			return nil, err
		}
		if again++; again > maxLast {
			return nil, err
		}
		place, ok = r.blame(place, err, again)
		if !ok {
			return nil, err
		}
		r.progress(Event{Kind: EventAgain, Host: r.name, Place: placeName(place)})
	}
}

// blamable tells an error of the configuration, which may be of one place only,
// from one of nix or of the machine.
func blamable(err error) bool {
	var ee *EvalError
	var me *MemoryError
	var se *StackError
	var ie *InputError
	return errors.As(err, &ee) || errors.As(err, &me) || errors.As(err, &se) || errors.As(err, &ie)
}

// isBadText tells that a text is no UTF-8: newer nix refuse to print it, 2.8 does not.
func isBadText(err error) bool {
	var se *dialect.SyntaxError
	var ee *EvalError
	return errors.As(err, &se) && strings.HasSuffix(se.Reason, "is no UTF-8") ||
		errors.As(err, &ee) && strings.Contains(ee.Message, "json.exception.type_error.316")
}

// blame adds a place to those that are not evaluated. Many equal errors below
// one place are most likely its own: it is then left out as a whole.
func (r *hostRun) blame(place []string, err error, again int) ([]string, bool) {
	const section = 3 // dialect, "sections", option path
	place = slices.Clone(place)
	switch {
	case isWhere(place):
		// Where something is defined is worth two more runs for each section, not more.
		key := "where\x00" + strings.Join(place[:min(len(place), section)], "\x00")
		if r.same[key]++; r.same[key] > 2 {
			place = place[:min(len(place), section)]
		}
	case again >= maxAgain:
		place = place[:min(len(place), section)]
	default:
		for _, rule := range []struct{ below, limit int }{{section, 8}, {section + 1, 4}} {
			if len(place) <= rule.below {
				continue
			}
			key := strings.Join(place[:rule.below], "\x00") + "\x00\x00" + bareMessage(err)
			if r.same[key]++; r.same[key] >= rule.limit {
				place = place[:rule.below]
				break
			}
		}
	}
	// A place that is left out cannot fail; if it seems so, what holds it did.
	for !r.skip.add(place) {
		if place = place[:len(place)-1]; len(place) == 0 {
			return nil, false
		}
	}
	r.blamed = slices.DeleteFunc(r.blamed, func(b blame) bool {
		return len(b.path) > len(place) && slices.Equal(b.path[:len(place)], place)
	})
	r.blamed = append(r.blamed, blame{place, err})
	// The definition of what cannot be had mostly cannot be had either. It is only located to this depth.
	if !isWhere(place) && len(place) >= section && len(place) <= section+2 {
		r.skip.add(append([]string{place[0], "where"}, place[2:]...))
	}
	return place, true
}

// bareMessage is what an error says apart from the host and the place.
func bareMessage(err error) string {
	if ee := (*EvalError)(nil); errors.As(err, &ee) {
		return ee.Message + "\x00" + ee.Position()
	}
	return err.Error()
}

// placeName prints a place of the projections' output as the option path that it stands for.
func placeName(place []string) string {
	if len(place) < 3 {
		return strings.Join(place, ".")
	}
	if isWhere(place) {
		return "locating " + placeName(append([]string{place[0], "sections"}, place[2:]...))
	}
	name := place[2]
	for _, c := range place[3:] {
		if _, err := strconv.Atoi(c); err == nil {
			name += "[" + c + "]"
		} else {
			name += "." + stateward.OptionPath(c)
		}
	}
	return name
}

func (r *hostRun) read(ctx context.Context, slot *slot, log *nixLog, a probeArgs) (string, error) {
	expr, err := readExpression(r.dialects(), a)
	if err != nil {
		return "", err
	}
	var extra []string
	if log.full {
		extra = []string{"--show-trace"}
	}
	log.expression = selectExpression(r.path, expr)
	out, peak, err := r.start(ctx, r.name, slot.heap, log, r.evalArgs(log.expression, extra...))
	slot.saw(slot.key, peak)
	return out, err
}

func (r *hostRun) parse(out string) (*dialect.Value, error) {
	v, err := dialect.Parse(out, maxDepth)
	if err != nil {
		return nil, fmt.Errorf("nix printed what cannot be read: %w", err)
	}
	if v.Kind() == dialect.String && v.Text() == "no host" {
		return nil, &EvalError{Host: r.name, Kind: MissingAttribute, Message: "this is no evaluated host: it has no attribute 'config'",
			hint: "name what lib.nixosSystem returns, or a set of such"}
	}
	if v.Kind() != dialect.Attrs {
		return nil, fmt.Errorf("nix printed something else: %w", &dialect.TreeError{Reason: "it is " + v.Kind().String()})
	}
	return v, nil
}

// located makes the names of files relative.
func (r *hostRun) located(v *dialect.Value) {
	for i := range v.Len() {
		_, d := v.Index(i)
		d.Get("where").EachText(r.relative)
	}
}

// What is said of values that throw where nix did not tell the message.
const (
	notAsked    = "it throws; the message was not asked for, since many values do"
	notAnswered = "it throws; there was no time to ask for the message"
)

// explain says of each unknown value why it is. Values that throw are evaluated
// once more, each alone and without tryEval, which loses the message.
func (r *hostRun) explain(ctx context.Context, v *dialect.Value) error {
	for _, b := range r.blamed {
		if ee := (*EvalError)(nil); errors.As(b.err, &ee) {
			v.Explain(b.path, ee.messageAndHint(), ee.File, ee.Line)
		} else {
			message := b.err.Error()
			if ie := (*InputError)(nil); errors.As(b.err, &ie) {
				message += " (" + ie.Hint() + ")"
			}
			v.Explain(b.path, message, "", 0)
		}
	}
	type thrown struct {
		path []string
		rank int
	}
	var throws []thrown
	ranks := map[string]int{}
	v.EachUnknown(func(path []string, u *dialect.Value) {
		if message, _, _ := u.Reason(); message != "" || isWhere(path) {
			return
		}
		path = slices.Clone(path)
		switch stateward.UnknownKind(u.Text()) {
		case stateward.UnknownFunction:
			v.Explain(path, "it is a function", "", 0)
		case stateward.UnknownDepth:
			v.Explain(path, "it is nested deeper than is read", "", 0)
		case stateward.UnknownForm:
			v.Explain(path, "it is no UTF-8 text, or no finite number", "", 0)
		case stateward.UnknownThrow:
			section := strings.Join(path[:min(len(path), 3)], "\x00")
			throws = append(throws, thrown{path, ranks[section]})
			ranks[section]++
			v.Explain(path, notAsked, "", 0)
		}
	})
	// One of each section before the second of any.
	slices.SortStableFunc(throws, func(a, b thrown) int { return cmp.Compare(a.rank, b.rank) })
	throws = throws[:min(len(throws), maxMessages)]
	for _, t := range throws {
		v.Explain(t.path, notAnswered, "", 0)
	}

	// This host has a slot of its own; others help while they are free.
	var wg sync.WaitGroup
	var mu sync.Mutex
	next := 0
	worker := func(slot *slot) {
		for ctx.Err() == nil {
			mu.Lock()
			i := next
			next++
			mu.Unlock()
			if i >= len(throws) {
				return
			}
			path := throws[i].path
			_, err := r.read(ctx, slot, &nixLog{thrown: true}, probeArgs{skip: &r.skip, only: path, raw: true, utf8: r.utf8})
			if ctx.Err() != nil {
				return
			}
			message, file, line := "it throws, and evaluated alone it does not", "", 0
			if ee := (*EvalError)(nil); errors.As(err, &ee) {
				message, file, line = ee.messageAndHint(), ee.File, ee.Line
			} else if err != nil {
				message = "it throws; nix was asked for the message, and failed: " + err.Error()
			}
			mu.Lock()
			v.Explain(path, message, file, line)
			mu.Unlock()
		}
	}
	for range min(len(throws), 8) - 1 {
		helper, ok := r.slot.helper()
		if !ok {
			break
		}
		wg.Go(func() {
			defer helper.release()
			worker(helper)
		})
	}
	worker(r.slot)
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// wholeFailure tells that a host failed as a whole: no dialect is known to apply,
// and of one it could not be had; or several sections have one and the same error,
// and there is nothing in any other.
func wholeFailure(host string, v *dialect.Value) error {
	reason := func(u *dialect.Value) *EvalError {
		message, file, line := u.Reason()
		return &EvalError{Host: host, Kind: caughtKind(stateward.UnknownKind(u.Text()), message), Message: message, File: file, Line: line}
	}
	var undetected *EvalError
	applies := false
	for i := range v.Len() {
		_, d := v.Index(i)
		on := d.Get("detected")
		switch {
		case d.Kind() == dialect.Unknown:
			undetected = cmp.Or(undetected, reason(d))
		case on.Kind() == dialect.Unknown:
			undetected = cmp.Or(undetected, reason(on))
		case on.Text() == "true":
			applies = true
		}
	}
	if !applies {
		if undetected != nil {
			return undetected
		}
		return nil
	}
	var first *EvalError
	n := 0
	for i := range v.Len() {
		_, d := v.Index(i)
		sections := d.Get("sections")
		for j := range sections.Len() {
			_, s := sections.Index(j)
			switch s.Kind() {
			case dialect.Unknown:
			case dialect.Absent, dialect.Null:
				continue
			default:
				if k := s.Kind(); (k == dialect.List || k == dialect.Attrs) && s.Len() == 0 {
					continue
				}
				return nil
			}
			n++
			if e := reason(s); e.Message == notAnswered {
				return nil // whether it is the same error is not known
			} else if first == nil {
				first = e
			} else if first.Message != e.Message || first.File != e.File || first.Line != e.Line {
				return nil
			}
		}
	}
	if n < 3 {
		return nil
	}
	return first
}
