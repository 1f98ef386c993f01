// Package stateward is the dialect of `stateward.services`, the union of what the contracts of the field let a
// service say of itself, and of `stateward.acknowledge`. docs/contract.md describes both.
package stateward

import (
	_ "embed"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/text"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// Name of the dialect.
const Name = "stateward"

//go:embed projection.nix
var projection string

//go:embed contract.nix
var contract string

// Dialect returns the dialect. It applies where a configuration has `stateward`.
func Dialect() dialect.Dialect {
	return dialect.Dialect{Name: Name, Projection: Projection(projection), Sections: dialect.SectionNames(projection), Decode: decode}
}

// Projection makes a projection of a Nix function that wants the shapes of the contract too:
//
//	{ probe, contract }: { config, options }: { detected = …; sections = { … }; }
//
// contract.service is one service, contract.serviceWith { option = probe.any; } one with further fields,
// contract.acknowledgements a list of accepted findings, and contract.closed { … } a set whose other fields are
// reported (see [NoOther]).
func Projection(text string) string {
	return "{ probe }:\n(\n" + text + ") { inherit probe; contract = (\n" + contract + ") { inherit probe; }; }"
}

func decode(n *dialect.Node, h *stateward.Host) {
	top := n.At("stateward")
	if top.Kind() == dialect.Attrs {
		NoOther(top)
	}
	Decode(Name, top, h)
	backups(top.At("backup"), h)
	h.Plan = top.At("plan").Filled()
	h.Guard = top.At("guard").At("enable").Bool()
	dialect.Merge(&h.PITRPolicies, dialect.AttrsOf(top.At("pitr"), pitr))
}

// Decode fills the host with what the attributes `services` and `acknowledge` of a place declare, which were read with
// the shapes of [Projection]. The services are of the named dialect.
func Decode(name string, top *dialect.Node, h *stateward.Host) {
	// What services want stored and backed up is theirs only while they run.
	datasets := []stateward.Dataset{}
	var unseen *stateward.Unknown
	jobs := []stateward.Job{}
	services := top.At("services")
	dialect.Merge(&h.Services, dialect.AttrsOf(services, func(_ string, n *dialect.Node) (stateward.Service, bool) {
		s, job := service(n.Name(), n)
		s.Dialect = name
		on, known := s.Enable.Get()
		if known && !on {
			return s, true
		}
		if why, unknown := n.At("dataset").Why(); unknown {
			unseen = &why
		}
		if s.Dataset != nil && s.Dataset.Name != "" {
			d := *s.Dataset
			if why, unknown := s.Enable.Why(); unknown {
				d.CanMount = stateward.NotKnown[string](why)
			}
			datasets = append(datasets, d)
		}
		if job != nil {
			jobs = append(jobs, *job)
		}
		return s, true
	}))
	if why, unknown := services.Why(); unknown {
		unseen = &why
		dialect.Merge(&h.Jobs, stateward.NotKnown[[]stateward.Job](why))
	}
	if len(datasets) > 0 {
		dialect.MergeWhole(&h.Datasets, stateward.Known(datasets, services.Origin()))
	}
	if unseen != nil {
		dialect.MergeWhole(&h.Datasets, stateward.NotKnown[[]stateward.Dataset](*unseen))
	}
	if len(jobs) > 0 {
		dialect.Merge(&h.Jobs, stateward.Known(jobs, services.Origin()))
	}

	dialect.Merge(&h.Acknowledgements, dialect.ListOf(top.At("acknowledge"), acknowledgement))
}

// NoOther records the fields that the contract does not have.
func NoOther(n *dialect.Node) {
	var known []string
	for i, name := range n.At("?").Strings().Or(nil) {
		if i == 0 {
			known = fieldsAt(n.Names())
		}
		switch near := text.Nearest(name, known); {
		case near != "":
			n.At(name).Wrong(stateward.UnknownForm, "stateward knows no such field: did you mean %s?", near)
		case len(known) > 0:
			n.At(name).Wrong(stateward.UnknownForm, "stateward knows no such field: there are %s", strings.Join(known, ", "))
		default:
			n.At(name).Wrong(stateward.UnknownForm, "stateward knows no such field")
		}
	}
}

// fieldsAt are the names of the fields that a place of the contract has, sorted. The first name of the place is that of the dialect.
func fieldsAt(place []string) []string {
	if len(place) == 0 {
		return nil
	}
	at := Option{Fields: Options().Options}
	for rest := place[1:]; len(rest) > 0; {
		i := slices.IndexFunc(at.Fields, func(o Option) bool { return o.Name == rest[0] })
		if i < 0 {
			return nil
		}
		at, rest = at.Fields[i], rest[1:]
		if (at.Type == "attrs" || at.Type == "list") && len(rest) > 0 {
			rest = rest[1:] // the name, or the number, of one of them
		}
	}
	var out []string
	for _, o := range at.Fields {
		out = append(out, o.Name)
	}
	slices.Sort(out)
	return out
}

// acknowledgement reads one of `stateward.acknowledge`. What it accepts must be known exactly: one that cannot be
// read as a whole accepts nothing. That a reason is missing is for a check to say.
func acknowledgement(n *dialect.Node) (stateward.Acknowledgement, bool) {
	if n.Kind() != dialect.Attrs {
		if n.Kind() != dialect.Unknown {
			n.Wrong(stateward.UnknownType, "expected an attribute set with code and reason, found %s", n.Kind())
		}
		return stateward.Acknowledgement{}, false
	}
	NoOther(n)
	whole := n.At("?").Strings().Or(nil) == nil
	text := func(name string) string {
		v := n.At(name).Filled()
		if v.IsUnknown() {
			whole = false
		}
		return v.Or("")
	}
	a := stateward.Acknowledgement{
		Code: text("code"), Host: text("host"), Service: text("service"), Subject: text("subject"), Path: text("path"),
		Reason: text("reason"), Until: text("until"), Origin: n.Origin(),
	}
	if whole && a.Code == "" {
		n.Wrong(stateward.UnknownForm, "has no code: name the finding that it accepts, such as SW101")
		whole = false
	}
	return a, whole
}
