package stateward

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// The options of the contract. The NixOS module makes its options of them, docs/options.md is written from them, and tests compare them
// with what is read.
//
//go:embed options.json
var optionsTable []byte

// Option is an option of our NixOS module.
type Option struct {
	Name string `json:"name"`
	// Type is a name of [OptionTable.Types], or "group", which only holds others.
	Type string `json:"type"`
	// Default is what it is where nobody sets it: null, which is "not stated", where it is empty.
	Default     json.RawMessage `json:"default,omitempty"`
	Description string          `json:"description"`
	// Example is Nix code.
	Example string `json:"example,omitempty"`
	// Required has a fault told where its set is there and it is not.
	Required bool `json:"required,omitempty"`
	// Reserved may be set, and is not used yet.
	Reserved bool `json:"reserved,omitempty"`
	// Own is what the module does, and no part of the contract that is read.
	Own bool `json:"own,omitempty"`
	// Off tells that a set whose `enable` is false needs no other value.
	Off bool `json:"off,omitempty"`
	// Values are all that there may be. Of spans by tier they are the tiers.
	Values []string `json:"values,omitempty"`
	// Filled tells that a list of texts must hold one. Empty tells that the empty text means something, whatever the type says.
	Filled bool `json:"filled,omitempty"`
	Empty  bool `json:"empty,omitempty"`
	// Pattern is an extended regular expression of POSIX that the whole text must match, and Fault what is said where it does not; where they are empty
	// those of the type hold.
	Pattern string `json:"pattern,omitempty"`
	Fault   string `json:"fault,omitempty"`
	// Text names the attribute that a text in a list of sets stands for.
	Text string `json:"text,omitempty"`
	// Of is what each of the sets is, and Names the type of the names that sets have.
	Of    string `json:"of,omitempty"`
	Names string `json:"names,omitempty"`
	// Group names fields that several sets have in common.
	Group string `json:"group,omitempty"`
	// Fields are those of a set, of each element of a list and of each attribute of "attrs", the group's included.
	Fields []Option `json:"fields,omitempty"`
}

// OptionType is how values of options may look.
type OptionType struct {
	Description string `json:"description"`
	Pattern     string `json:"pattern,omitempty"`
	Fault       string `json:"fault,omitempty"`
	// Without is a component that a path may not have.
	Without string `json:"without,omitempty"`
	// Empty tells that the empty text is no value, as null is.
	Empty bool `json:"empty,omitempty"`
	// Like names the type whose pattern its texts have.
	Like string `json:"like,omitempty"`
}

// OptionTable is all that there is to say of the options.
type OptionTable struct {
	Types   map[string]OptionType `json:"types"`
	Groups  map[string][]Option   `json:"groups"`
	Options []Option              `json:"options"`
}

// Options returns the options below `stateward`, with the fields of groups in their place.
func Options() OptionTable {
	var t OptionTable
	if err := json.Unmarshal(optionsTable, &t); err != nil {
		return OptionTable{} // a test sees to it that this does not happen
	}
	t.Options = t.resolved(t.Options)
	return t
}

func (t OptionTable) resolved(fields []Option) []Option {
	out := slices.Clone(fields)
	for i := range out {
		out[i].Fields = t.resolved(slices.Concat(out[i].Fields, t.Groups[out[i].Group]))
	}
	return out
}

// TypeText says of an option what it may be.
func (t OptionTable) TypeText(o Option) string {
	text := t.Types[o.Type].Description
	if len(o.Values) > 0 {
		quoted := make([]string, len(o.Values))
		for i, v := range o.Values {
			quoted[i] = fmt.Sprintf("%q", v)
		}
		text += ": of " + strings.Join(quoted, ", ")
	}
	if o.Default == nil {
		text = "null or " + text
	}
	return text
}

// Below is the option path of what an option with sub-options holds, as the module system writes it.
func (o Option) Below(path string) string {
	switch o.Type {
	case "attrs":
		return path + ".<name>"
	case "list":
		return path + ".*"
	}
	return path
}

// DescriptionText is the description as the module has it.
func (o Option) DescriptionText() string {
	if o.Reserved {
		return o.Description + " Reserved: it may be set, and is not used yet."
	}
	return o.Description
}
