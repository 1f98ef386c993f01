package dataset

import (
	"encoding/json"
	"fmt"

	"github.com/stateward/stateward"
)

// Kinds of steps as the JSON form names them, in its field "op".
const (
	opCreate  = "create"
	opSet     = "set"
	opInherit = "inherit"
	opMkdir   = "make-mountpoint"
	opMount   = "mount"
	opOwn     = "own"
)

// OpKind is the name of a step's kind, as the JSON form has it: "create", "set", "inherit", "make-mountpoint", "mount" or
// "own".
func OpKind(op Op) string {
	switch op.(type) {
	case *Create:
		return opCreate
	case *Set:
		return opSet
	case *Inherit:
		return opInherit
	case *MakeMountpoint:
		return opMkdir
	case *MountDataset:
		return opMount
	case *Own:
		return opOwn
	}
	panic(fmt.Sprintf("unknown step %T", op))
}

type ownJSON struct {
	Step
	Path  stateward.AbsPath `json:"path"`
	Owner string            `json:"owner,omitempty"`
	Group string            `json:"group,omitempty"`
	Mode  string            `json:"mode,omitempty"`
}

// MarshalJSON writes owner, group and mode as texts.
func (o *Own) MarshalJSON() ([]byte, error) {
	return json.Marshal(ownJSON{o.Step, o.Path, o.Owner.String(), o.Group.String(), o.Mode.String()})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (o *Own) UnmarshalJSON(b []byte) (err error) {
	var j ownJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	o.Step, o.Path = j.Step, j.Path
	o.Owner, o.Group, o.Mode, err = parseOwnership(j.Owner, j.Group, j.Mode)
	return err
}

// opJSON is a step with its kind before its fields.
type opJSON struct{ op Op }

func (o opJSON) MarshalJSON() ([]byte, error) {
	fields, err := json.Marshal(o.op)
	if err != nil {
		return nil, err
	}
	return append([]byte(fmt.Sprintf(`{"op":%q,`, OpKind(o.op))), fields[1:]...), nil
}

func (o *opJSON) UnmarshalJSON(b []byte) error {
	var kind struct {
		Op string `json:"op"`
	}
	if err := json.Unmarshal(b, &kind); err != nil {
		return err
	}
	switch kind.Op {
	case opCreate:
		o.op = &Create{}
	case opSet:
		o.op = &Set{}
	case opInherit:
		o.op = &Inherit{}
	case opMkdir:
		o.op = &MakeMountpoint{}
	case opMount:
		o.op = &MountDataset{}
	case opOwn:
		o.op = &Own{}
	default:
		return fmt.Errorf("unknown step %q in a plan", kind.Op)
	}
	return json.Unmarshal(b, o.op)
}

type planJSON struct {
	Ops       []opJSON   `json:"ops"`
	Conflicts []Conflict `json:"conflicts"`
}

// MarshalJSON writes each step as an object whose field "op" is its kind.
func (p Plan) MarshalJSON() ([]byte, error) {
	j := planJSON{Ops: make([]opJSON, len(p.Ops)), Conflicts: p.Conflicts}
	for i, op := range p.Ops {
		j.Ops[i].op = op
	}
	if j.Conflicts == nil {
		j.Conflicts = []Conflict{}
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Plan) UnmarshalJSON(b []byte) error {
	var j planJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*p = Plan{}
	for _, op := range j.Ops {
		if op.op == nil {
			return fmt.Errorf("a plan has a step that is null")
		}
		p.Ops = append(p.Ops, op.op)
	}
	if len(j.Conflicts) > 0 {
		p.Conflicts = j.Conflicts
	}
	return nil
}
