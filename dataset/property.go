package dataset

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stateward/stateward/internal/text"
)

// Kind is the grammar of a property's values.
type Kind uint8

// The kinds of properties. The first four are those of zfs_prop.c, which counts booleans among the indexed ones.
const (
	// Words is one of a few words: `compression`.
	Words Kind = iota + 1
	// Boolean is "on" or "off".
	Boolean
	// Number counts something, or is "none": `filesystem_limit`.
	Number
	// Bytes is a [Size], or "none" where there may be no bound: `recordsize`, `quota`.
	Bytes
	// Text is anything else: `mountpoint`, user properties.
	Text
)

func (k Kind) String() string {
	switch k {
	case Words:
		return "one of a few words"
	case Boolean:
		return "on or off"
	case Number:
		return "a number"
	case Bytes:
		return "a size"
	case Text:
		return "a text"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Types are types of datasets.
type Types uint8

// The types of datasets that have properties.
const (
	Filesystem Types = 1 << iota
	Volume
	Snapshot
)

func (t Types) String() string {
	var names []string
	for i, n := range []string{"filesystem", "volume", "snapshot"} {
		if t&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, " or ")
}

// Property is one that zfs knows, or a user's.
type Property struct {
	// Name is as zfsprops(7) has it: "recordsize"; of a user's property with its colon: "com.sun:auto-snapshot".
	Name string
	Kind Kind
	// Values are the words that a property of kind Words takes, and words that others take beside their own: "none".
	// Words that mean another one are not among them.
	Values []string
	// Default is the value of a dataset that nobody gave one; empty where it has none, or differs.
	Default string
	// Inherited tells that children have the value of their parent unless they have their own.
	Inherited bool
	// CreateOnly tells that the value cannot be changed once the dataset is there.
	CreateOnly bool
	// ReadOnly tells that nobody can set it.
	ReadOnly bool
	// Types are what has it.
	Types Types
	// User tells that it is a user's own: zfs keeps it and does nothing with it.
	User bool

	min, max Size
	power    bool
	aliases  map[string]string
}

// PropertyError says why a property or its value is refused.
type PropertyError struct {
	Property string
	Value    string
	Reason   string
	hint     string
}

func (e *PropertyError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("property %q %s", e.Property, e.Reason)
	}
	return fmt.Sprintf("value %q of property %q %s", e.Value, e.Property, e.Reason)
}

// Hint says what to write instead.
func (e *PropertyError) Hint() string { return e.hint }

// Setting is a property and its value, which is one that zfs takes. Only [ParseSetting] makes one.
type Setting struct {
	name, value string
}

// Name is the property's name.
func (s Setting) Name() string { return s.name }

// Value is the canonical value: what `zfs get -Hp` prints of it. Two are the same where their Values are.
func (s Setting) Value() string { return s.value }

// Text is the value as people write it: "128K" for 131072.
func (s Setting) Text() string {
	p, _ := LookupProperty(s.name)
	if s.name == "xattr" && s.value == "on" {
		return "sa" // which means the same before 2.3 too
	}
	n, err := strconv.ParseUint(s.value, 10, 64)
	if err != nil || p.Kind != Bytes && p.Kind != Number {
		return s.value
	}
	if none := p.noBound(); none == s.value {
		return "none"
	}
	if p.Kind == Number {
		return s.value
	}
	return Size(n).String()
}

// String is what `zfs set` and `zfs create -o` take: "quota=none", where they refuse the quota=0 that zfs get prints.
func (s Setting) String() string { return s.name + "=" + s.Text() }

type settingJSON struct {
	Property string `json:"property"`
	Value    string `json:"value"`
}

// MarshalJSON writes the property and its canonical value.
func (s Setting) MarshalJSON() ([]byte, error) { return json.Marshal(settingJSON{s.name, s.value}) }

// UnmarshalJSON reads what [ParseSetting] takes.
func (s *Setting) UnmarshalJSON(b []byte) error {
	var j settingJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	parsed, err := ParseSetting(j.Property, j.Value, Filesystem|Volume)
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// CompareSetting orders settings by name.
func CompareSetting(a, b Setting) int {
	return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
}

// noBound is what `zfs get -Hp` prints for "none".
func (p *Property) noBound() string {
	if !slices.Contains(p.Values, "none") {
		return ""
	}
	if p.Kind == Number && (p.Name == "filesystem_limit" || p.Name == "snapshot_limit") {
		return "none" // what is UINT64_MAX in the pool
	}
	return "0"
}

// Limits of include/sys/fs/zfs.h and include/sys/zap.h.
const (
	maxPropertyName  = 255
	maxPropertyValue = 8191
)

// LookupProperty finds a native property of OpenZFS 2.3, by its name or its short name ("recsize"), a user's property, or
// one of the quotas of a user, group or project ("userquota@alice"). ok is false for any other name.
func LookupProperty(name string) (p *Property, ok bool) {
	if full, short := shortNames[name]; short {
		name = full
	}
	if p, ok := native[name]; ok {
		return p, true
	}
	if prefix, who, quota := strings.Cut(name, "@"); quota {
		kind, known := quotas[prefix]
		if !known || who == "" || !printable(who) || strings.ContainsAny(who, "=, ") {
			return nil, false
		}
		return &Property{Name: name, Kind: kind, Values: []string{"none"}, Default: "0", Types: Filesystem}, true
	}
	if userProperty(name) {
		return &Property{Name: name, Kind: Text, Inherited: true, Types: Filesystem | Volume | Snapshot, User: true}, true
	}
	return nil, false
}

// userProperty mirrors zfs_prop_user of zfs_prop.c.
func userProperty(name string) bool {
	if len(name) > maxPropertyName || !strings.Contains(name, ":") || name[0] == '-' {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("-_.:", c) < 0 {
			return false
		}
	}
	return true
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return unicode.IsControl(r) }) < 0
}

// NativeProperties are all properties that OpenZFS 2.3 knows, in the order of their names.
func NativeProperties() []*Property {
	list := make([]*Property, 0, len(native))
	for _, p := range native {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *Property) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// ParseSetting reads a property and its value for a dataset of one of these types, as `zfs create -o` and `zfs set` take
// them, and refuses what they would refuse. Text values with control characters are refused too, since what zfs prints of
// them cannot be read back. The error is a *[PropertyError].
func ParseSetting(name, value string, on Types) (Setting, error) {
	p, ok := LookupProperty(name)
	switch {
	case !ok:
		return Setting{}, unknownProperty(name)
	case p.Name == "mlslabel":
		return Setting{}, &PropertyError{Property: name, Reason: "cannot be set on Linux", hint: "leave it out"}
	case p.ReadOnly:
		return Setting{}, &PropertyError{Property: name, Reason: "is read-only", hint: "leave it out: zfs itself keeps it"}
	case p.Types&on == 0:
		return Setting{}, &PropertyError{Property: name, Reason: "is none that a " + on.String() + " has", hint: "only a " + p.Types.String() + " has it"}
	}
	if p.Name == "refreservation" && value == "auto" && on&Volume == 0 {
		return Setting{}, &PropertyError{Property: name, Value: value, Reason: "is for volumes only", hint: "write a size, or none"}
	}
	canonical, err := p.Canonical(value)
	return Setting{p.Name, canonical}, err
}

func unknownProperty(name string) error {
	e := &PropertyError{Property: name, Reason: "is none that zfs knows", hint: `a property of your own needs a colon in its name: "org.example:note"`}
	best := 3
	for known := range native {
		if d := text.Distance(name, known); d < best || d == best && d < 3 && strings.Contains(e.hint, "instead") && known < e.hint {
			best = d
			e.hint = fmt.Sprintf("write %q instead?", known)
		}
	}
	if strings.ContainsFunc(name, unicode.IsUpper) && strings.Contains(name, ":") {
		e.hint = "a property of your own takes lower-case letters, digits, -, _, . and : only"
	}
	return e
}

// Canonical is the value as `zfs get -Hp` prints it once it was set: "131072" for "128K", "0" for a quota of "none",
// "posix" for "posixacl". The error is a *[PropertyError].
func (p *Property) Canonical(value string) (string, error) {
	wrong := func(reason, hint string) (string, error) {
		return "", &PropertyError{p.Name, value, reason, hint}
	}
	if value == "" && !p.User {
		return "", &PropertyError{Property: p.Name, Reason: "has an empty value", hint: p.accepts()}
	}
	if to, ok := p.aliases[value]; ok {
		return to, nil
	}
	switch p.Kind {
	case Words, Boolean:
		if !slices.Contains(p.Values, value) {
			return wrong("is none that it takes", p.accepts())
		}
		return value, nil
	case Number, Bytes:
		if value == "none" && slices.Contains(p.Values, value) {
			return p.noBound(), nil
		}
		if slices.Contains(p.Values, value) {
			return value, nil
		}
		n, err := ParseSize(value)
		if se := (*SizeError)(nil); err != nil {
			se, _ = err.(*SizeError)
			return wrong(se.Reason, p.accepts())
		}
		switch {
		case n < p.min || p.max > 0 && n > p.max:
			if n == 0 && slices.Contains(p.Values, "0") {
				break
			}
			return wrong(fmt.Sprintf("is not within %s and %s", p.min, p.max), p.accepts())
		case p.power && n != 0 && !n.powerOfTwo():
			return wrong("is no power of two", p.accepts())
		}
		if uint64(n) == math.MaxUint64 && p.noBound() == "none" {
			return "none", nil
		}
		return strconv.FormatUint(uint64(n), 10), nil
	}
	switch {
	case len(value) > maxPropertyValue:
		return "", &PropertyError{Property: p.Name, Reason: fmt.Sprintf("has a value of %d bytes; zfs takes %d", len(value), maxPropertyValue)}
	case !printable(value):
		return wrong("contains a control character, or is no UTF-8", "take it out: what zfs prints of it could not be read back")
	}
	return p.text(value)
}

// text checks the properties of kind Text that have a grammar.
func (p *Property) text(value string) (string, error) {
	wrong := func(reason, hint string) (string, error) {
		return "", &PropertyError{p.Name, value, reason, hint}
	}
	switch p.Name {
	case "mountpoint":
		if value == "none" || value == "legacy" {
			return value, nil
		}
		if reason := pathProblem(value); reason != "" {
			return wrong(reason, `write an absolute path without "..", "//" or a slash at its end, or "none" or "legacy"`)
		}
	case "keylocation":
		// zfs_prop_valid_keylocation of zfs_prop.c.
		for _, scheme := range []string{"file:///", "https://", "http://"} {
			if len(value) > len(scheme) && strings.HasPrefix(value, scheme) {
				return value, nil
			}
		}
		if value != "none" && value != "prompt" {
			return wrong("is no place of a key", `write "prompt", "none", or a URL: "file:///run/keys/tank"`)
		}
	}
	return value, nil
}

func pathProblem(s string) string {
	if s[0] != '/' {
		return "is no absolute path"
	}
	if s == "/" {
		return ""
	}
	for part := range strings.SplitSeq(s[1:], "/") {
		switch {
		case part == "":
			return "has an empty part"
		case part == "." || part == "..":
			return fmt.Sprintf("has a part %q", part)
		case len(part) > 254:
			return "has a part that is longer than 254 bytes"
		}
	}
	return ""
}

// accepts says what a property takes.
func (p *Property) accepts() string {
	list := strings.Join(slices.Concat(p.Values, slices.Sorted(maps.Keys(p.aliases))), ", ")
	switch p.Kind {
	case Words, Boolean:
		return "write one of " + list
	case Number, Bytes:
		text := "write a number"
		if p.Kind == Bytes {
			text = "write a size such as 16K"
		}
		if p.max > 0 {
			text = fmt.Sprintf("write a size from %s to %s", p.min, p.max)
		}
		if p.power {
			text += ", a power of two"
		}
		if list != "" {
			text += ", or " + list
		}
		return text
	}
	return ""
}
