package nixbridge

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
	"github.com/stateward/stateward/nixbridge/dialect/homelab"
	"github.com/stateward/stateward/nixbridge/dialect/nixos"
	"github.com/stateward/stateward/nixbridge/dialect/qgroget"
	contract "github.com/stateward/stateward/nixbridge/dialect/stateward"
	"github.com/stateward/stateward/nixbridge/dialect/table"
)

// BuiltinDialects are the dialects that are read unless others are given.
func BuiltinDialects() []dialect.Dialect {
	return []dialect.Dialect{nixos.Dialect(), contract.Dialect(), qgroget.Dialect(), homelab.Dialect(), table.Builtin()}
}

// Options of [Load]. The zero value is useful.
type Options struct {
	// Evaluator runs nix; nil means one with its zero value.
	Evaluator *Evaluator
	// Stdin is what the source "-" reads.
	Stdin io.Reader
}

// Load evaluates a source, or reads it if it is a saved evaluation, and decodes
// every host with the dialects that apply to it. A host that failed has
// [stateward.StatusFailed] and, as its one Unknown, the error.
func Load(ctx context.Context, src Source, opts Options) ([]*stateward.Host, error) {
	e := opts.Evaluator
	if e == nil {
		e = &Evaluator{}
	}
	ev, err := e.Read(ctx, src, opts.Stdin)
	if err != nil {
		return nil, err
	}
	hosts := make([]*stateward.Host, len(ev.Hosts))
	for i, h := range ev.Hosts {
		// The error is in the host.
		hosts[i], _ = h.Decode()
	}
	return hosts, nil
}

// zones are those of this machine, or those that its program brings (package time/tzdata). Two are equal, so that hosts can be.
type zones struct{}

func (zones) Zone(name string) (*time.Location, error) { return time.LoadLocation(name) }

// Decode fills a host with what each dialect that applies to it declares. The
// host is never nil: where the evaluation failed it has [stateward.StatusFailed], and the error is Err.
func (h *HostEvaluation) Decode() (*stateward.Host, error) {
	host := &stateward.Host{Name: h.Name, Source: h.Source, Status: stateward.StatusOK, Zones: zones{}}
	if h.Err != nil {
		host.AddUnknown(failure(h))
		host.Status = stateward.StatusFailed
		return host, h.Err
	}
	dialects := h.dialects
	if dialects == nil {
		dialects = BuiltinDialects()
	}
	for _, d := range dialects {
		v := h.Tree(d.Name)
		if v == nil {
			continue
		}
		t, err := dialect.NewTree(v)
		if err != nil {
			host.AddUnknown(stateward.Unknown{Subject: "config", Kind: stateward.UnknownForm, Message: d.Name + ": " + err.Error()})
			continue
		}
		if !slices.ContainsFunc(BuiltinDialects(), func(b dialect.Dialect) bool { return b.Name == d.Name }) {
			t.Whole = "dialect " + d.Name
		}
		applies := t.Detected()
		if why, unknown := applies.Why(); unknown {
			host.AddUnknown(why)
		} else if !applies.Or(false) {
			continue
		} else {
			host.Dialects = append(host.Dialects, d.Name)
		}
		for _, name := range missingSections(v, d) {
			host.AddUnknown(stateward.Unknown{Subject: name, Kind: stateward.UnknownHidden, Message: "it was not evaluated"})
		}
		// What a dialect declares that may apply is unknown, and not absent.
		d.Decode(t.Root(), host)
		host.AddUnknown(t.Unknowns()...)
	}
	slices.Sort(host.Dialects)
	return host, nil
}

// failure is a host's error as what could not be evaluated: all of it.
func failure(h *HostEvaluation) stateward.Unknown {
	u := stateward.Unknown{Subject: "config", Kind: stateward.UnknownAbort, Message: h.Err.Error()}
	var ee *EvalError
	var re *RecordedError
	switch {
	case errors.As(h.Err, &ee):
		u.Message, u.File, u.Line = ee.Message, ee.File, ee.Line
		if ee.Attribute != "" {
			u.Subject = ee.Attribute
		}
	case errors.As(h.Err, &re):
		u.Message, u.File, u.Line = re.Message, re.File, re.Line
	}
	return u
}
