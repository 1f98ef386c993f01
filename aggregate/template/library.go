package template

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

//go:embed templates/*.json
var builtinFiles embed.FS

// BuiltinFiles are the files of the templates that are built in, for who reads them otherwise: Nix.
func BuiltinFiles() fs.FS {
	sub, _ := fs.Sub(builtinFiles, "templates") // of a folder that is compiled in it cannot fail
	return sub
}

// Library holds templates by their names: those that are built in, and those that were added.
type Library struct {
	builtin, own map[string]*source
}

// builtin are the templates that are compiled in, of which tests know that they are sound.
var builtin = sync.OnceValue(mustBuiltin)

func mustBuiltin() map[string]*source {
	files := BuiltinFiles()
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		panic(err)
	}
	out := map[string]*source{}
	for _, e := range entries {
		data, err := fs.ReadFile(files, e.Name())
		if err != nil {
			panic(err)
		}
		name := strings.TrimSuffix(e.Name(), ".json")
		s, err := parse(e.Name(), name, data)
		if err != nil {
			panic(err)
		}
		s.file = "" // of no file that a user has
		out[name] = s
	}
	return out
}

// NewLibrary returns a library of the templates that are built in.
func NewLibrary() *Library { return &Library{builtin: builtin(), own: map[string]*source{}} }

// Add adds a template of a user's. The file is named in errors; the template is called after it, without folder and suffix
// ".json". One that is called as one that is built in takes its place, and may extend it. The error is a *[Fault] or [Faults].
func (l *Library) Add(file string, data []byte) error {
	base := file[strings.LastIndexByte(file, '/')+1:]
	name, ok := strings.CutSuffix(base, ".json")
	if !ok {
		return &Fault{File: file, Reason: "is no file of JSON by its name", hint: "call it NAME.json"}
	}
	s, err := parse(file, name, data)
	if err != nil {
		return err
	}
	if other := l.own[name]; other != nil {
		return &Fault{File: file, Reason: fmt.Sprintf("is called as %s, and one would hide the other", other.file), hint: "rename one of the two files"}
	}
	l.own[name] = s
	return nil
}

// Names are the names of all templates, sorted.
func (l *Library) Names() []string {
	names := maps.Clone(l.builtin)
	maps.Copy(names, l.own)
	return sortedKeys(names)
}

// NotFoundError is a name that no template has.
type NotFoundError struct {
	Name  string
	known []string
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("there is no template %q", e.Name) }

// Hint names what may have been meant, or what there is.
func (e *NotFoundError) Hint() string { return unknownHint(e.Name, e.known) }

// chain are a template and those that it extends, itself first.
func (l *Library) chain(name string) ([]*source, error) {
	s := l.own[name]
	if s == nil {
		s = l.builtin[name]
	}
	if s == nil {
		return nil, &NotFoundError{name, l.Names()}
	}
	chain := []*source{s}
	for s.extends != "" {
		next := l.own[s.extends]
		if next == nil || next == s {
			next = l.builtin[s.extends]
		}
		fault := func(reason, hint string) error {
			return &Fault{File: s.file, Field: "extends", Reason: reason, hint: hint}
		}
		switch {
		case next == nil && s.extends == s.name:
			return nil, fault("extends itself", "extend another one, or none")
		case next == nil:
			return nil, fault(fmt.Sprintf("there is no template %q", s.extends), unknownHint(s.extends, l.Names()))
		case slices.Contains(chain, next):
			return nil, fault(fmt.Sprintf("%s extends itself, by way of %s", name, s.name), "extend another one, or none")
		}
		chain = append(chain, next)
		s = next
	}
	return chain, nil
}

// merge lays one object over another.
func merge(under, over object) object {
	out := maps.Clone(under)
	for name, v := range over {
		a, below := out[name].(object)
		b, above := v.(object)
		switch {
		case v == nil:
			delete(out, name)
		case below && above:
			out[name] = merge(a, b)
		case above:
			out[name] = merge(object{}, b) // without its nulls
		default:
			out[name] = v
		}
	}
	return out
}

// Options are how a template is used.
type Options struct {
	// Set are values of parameters; "profile" is that of the dataset where no parameter is called so, and "properties.NAME" one
	// of its properties.
	Set map[string]string
	// Partial leaves "${name}" where a parameter has no value, instead of failing.
	Partial bool
}

// Resolved is a template with its parameters put in, each value checked.
type Resolved struct {
	Template
	// File is the user's file that it is from; empty where it is built in.
	File string `json:"file,omitempty"`
	// Chain are the templates that it extends, the nearest first.
	Chain []string `json:"chain,omitempty"`
	// Values are the parameters, in the order of their names.
	Values []ParameterValue `json:"values"`
	// Properties are those of the dataset, in the order of their names; empty where there is no dataset.
	Properties []Property `json:"properties,omitempty"`
}

// ParameterValue is the value that a parameter has.
type ParameterValue struct {
	Name        string `json:"name"`
	Kind        Kind   `json:"kind"`
	Description string `json:"description,omitempty"`
	// Value is empty, and Missing true, where it has to be set.
	Value   string `json:"value"`
	Missing bool   `json:"missing,omitempty"`
	// Set tells that it is not the default.
	Set bool `json:"set,omitempty"`
}

// Property is a property of the dataset, and why it has that value.
type Property struct {
	Property string `json:"property"`
	Value    string `json:"value"`
	// From is "profile NAME", "template" or "--set".
	From   string `json:"from"`
	Reason string `json:"reason,omitempty"`
	Source string `json:"source,omitempty"`
}

// Resolve puts the values of its parameters into a template and checks everything. The error is a *[NotFoundError], a *[Fault]
// or [Faults].
func (l *Library) Resolve(name string, o Options) (*Resolved, error) {
	chain, err := l.chain(name)
	if err != nil {
		return nil, err
	}
	tree := object{}
	for _, s := range slices.Backward(chain) {
		tree = merge(tree, s.tree)
	}
	r := &resolver{chain: chain, options: o}
	t := r.resolve(tree)
	if err := r.faults.orNil(); err != nil {
		return nil, err
	}
	for _, s := range chain[1:] {
		t.Chain = append(t.Chain, s.name)
	}
	t.File = chain[0].file
	return t, nil
}

// setFile stands for the file of what --set gave.
const setFile = "--set"

type resolver struct {
	chain   []*source
	options Options
	// tree is what the chain comes to, its parameters not yet put in.
	tree    object
	params  map[string]Parameter
	values  map[string]Scalar
	missing map[string]bool
	faults  Faults
}

// fault names the file that has the field: a template need not repeat what it extends.
func (r *resolver) fault(path, reason, hint string) {
	if name := r.setAt(path); name != "" {
		r.faults = append(r.faults, &Fault{File: setFile, Field: name, Reason: reason, hint: hint})
		return
	}
	s := r.chain[0]
	for _, c := range r.chain {
		if has(c.tree, path) {
			s = c
			break
		}
	}
	file := s.file
	if file == "" {
		file = "template " + s.name
	}
	r.faults = append(r.faults, &Fault{File: file, Field: path, Reason: reason, hint: hint})
}

// setAt is the parameter that was set, where a field is nothing but that: its value is what is wrong there.
func (r *resolver) setAt(path string) string {
	var at any = r.tree
	for _, name := range splitPath(path) {
		switch v := at.(type) {
		case object:
			at = v[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(v) {
				return ""
			}
			at = v[i]
		}
	}
	text, _ := at.(string)
	if m := reference.FindStringSubmatch(text); m != nil && m[0] == text {
		if _, set := r.options.Set[m[1]]; set {
			return m[1]
		}
	}
	return ""
}

// splitPath splits the path of a field, or of an option, into names and numbers.
func splitPath(path string) []string {
	var out []string
	for path != "" {
		switch path[0] {
		case '.', ']':
			path = path[1:]
		case '"':
			end := 1
			for end < len(path) && path[end] != '"' {
				if path[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end+1, len(path))
			out, path = append(out, path[:end]), path[end:]
			if name, err := strconv.Unquote(strings.ReplaceAll(out[len(out)-1], `\$`, "$")); err == nil {
				out[len(out)-1] = name
			}
		default:
			path = strings.TrimPrefix(path, "[")
			end := strings.IndexAny(path, ".[]")
			if end < 0 {
				end = len(path)
			}
			out, path = append(out, path[:end]), path[end:]
		}
	}
	return out
}

// has tells whether a tree has a value at a path, as far as objects go.
func has(tree object, path string) bool {
	for path != "" {
		name, rest, _ := strings.Cut(path, ".")
		name, _, list := strings.Cut(name, "[")
		v, ok := tree[name]
		if !ok || rest == "" || list {
			return ok
		}
		o, ok := v.(object)
		if !ok {
			return true
		}
		if strings.HasPrefix(rest, `"`) {
			return true
		}
		tree, path = o, rest
	}
	return true
}

func (r *resolver) resolve(tree object) *Resolved {
	out := &Resolved{}
	params, _ := tree["parameters"].(object)
	text, _ := json.Marshal(params)
	if err := json.Unmarshal(text, &r.params); err != nil {
		r.fault("parameters", err.Error(), "")
		return out
	}
	r.tree = tree
	properties := r.settings(tree)
	r.parameters(out)
	if len(r.faults) > 0 {
		return out
	}
	body := maps.Clone(tree)
	delete(body, "parameters")
	for _, name := range sortedKeys(body) {
		body[name] = r.substitute(body[name], stateward.OptionPath(name))
	}
	if len(r.faults) > 0 {
		return out
	}
	text, err := json.Marshal(body)
	if err == nil {
		err = unmarshal(text, &out.Template)
	}
	if err != nil {
		r.fault("", strings.TrimPrefix(err.Error(), "json: "), "")
		return out
	}
	out.Parameters = r.params
	r.profile(out, properties)
	v := validator{r: r, t: out}
	v.all()
	return out
}

// unmarshal keeps whole numbers of options what they are.
func unmarshal(text []byte, into *Template) error {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	return d.Decode(into)
}

// settings takes what is set beside the parameters into the tree, and returns the properties that are.
func (r *resolver) settings(tree object) map[string]string {
	properties := map[string]string{}
	service, _ := tree["service"].(object)
	ds, _ := service["dataset"].(object)
	for _, name := range sortedKeys(r.options.Set) {
		value := r.options.Set[name]
		property, isProperty := strings.CutPrefix(name, "properties.")
		_, known := r.params[name]
		switch {
		case known:
		case ds != nil && name == "profile":
			ds = merge(ds, object{"profile": value})
			tree["service"] = merge(service, object{"dataset": ds})
		case ds != nil && isProperty:
			properties[property] = value
		default:
			names := sortedKeys(r.params)
			if ds != nil {
				names = append(names, "profile", "properties.NAME")
			}
			r.faults = append(r.faults, &Fault{File: setFile, Field: name, Reason: fmt.Sprintf("is no parameter of %s", r.chain[0].name), hint: unknownHint(name, names)})
		}
	}
	return properties
}

// parameters finds the value of each parameter, those that others name first.
func (r *resolver) parameters(out *Resolved) {
	r.values, r.missing = map[string]Scalar{}, map[string]bool{}
	state, bad := map[string]int{}, map[string]bool{}
	var find func(name string) bool
	find = func(name string) bool {
		switch state[name] {
		case 1:
			r.fault("parameters."+name+".default", "names itself, by way of others", "write a value")
			return false
		case 2:
			return true
		}
		state[name] = 1
		defer func() { state[name] = 2 }()
		p := r.params[name]
		path := "parameters." + name
		if !paramForm.MatchString(name) {
			r.fault(path, "is no name of a parameter", "write letters and digits, a lower-case letter first")
		}
		if p.Kind == "" {
			p.Kind = Text
			r.params[name] = p
		}
		if !slices.Contains(Kinds(), p.Kind) {
			r.fault(path+".kind", fmt.Sprintf("%q is no kind of a parameter", p.Kind), oneOf(Kinds()))
			return true
		}
		value, set := r.options.Set[name]
		if !set {
			if p.Default == nil {
				r.missing[name] = true
				if !r.options.Partial {
					r.fault(path, "has no value"+describe(p), fmt.Sprintf("--set %s=VALUE", name))
				}
				return true
			}
			value = string(*p.Default)
			for _, m := range reference.FindAllStringSubmatch(value, -1) {
				if _, ok := r.params[m[1]]; ok && !find(m[1]) {
					return false
				}
				bad[name] = bad[name] || bad[m[1]]
			}
			value, _ = r.text(value, path+".default")
		}
		if strings.Contains(value, "${") && set {
			r.faults = append(r.faults, &Fault{File: setFile, Field: name, Reason: fmt.Sprintf("%q names a parameter", value), hint: "write the value"})
			return true
		}
		// What another one is wrong about is said there.
		if err := checkKind(p.Kind, value); err != nil && !bad[name] && !strings.Contains(value, "${") {
			bad[name] = true
			f := &Fault{File: setFile, Field: name, Reason: err.Error(), hint: hintOf(err)}
			if set {
				r.faults = append(r.faults, f)
			} else {
				r.fault(path+".default", f.Reason, f.hint)
			}
		}
		r.values[name] = Scalar(value)
		return true
	}
	for _, name := range sortedKeys(r.params) {
		find(name)
		_, set := r.options.Set[name]
		p := r.params[name]
		out.Values = append(out.Values, ParameterValue{Name: name, Kind: p.Kind, Description: p.Description, Value: string(r.values[name]), Missing: r.missing[name], Set: set})
	}
}

func (r *resolver) isParameter(name string) bool {
	_, ok := r.params[name]
	return ok
}

func describe(p Parameter) string {
	if p.Description == "" {
		return ""
	}
	return " (" + p.Description + ")"
}

func oneOf[T ~string](words []T) string {
	var texts []string
	for _, w := range words {
		texts = append(texts, string(w))
	}
	return "write one of " + strings.Join(texts, ", ")
}

// text puts values into a text; whole tells that it is nothing but one parameter of kind integer.
func (r *resolver) text(s, path string) (out string, number bool) {
	out = reference.ReplaceAllStringFunc(s, func(m string) string {
		name := m[2 : len(m)-1]
		p, known := r.params[name]
		switch {
		case !known:
			r.fault(path, fmt.Sprintf("names a parameter %q that there is not", name), unknownHint(name, sortedKeys(r.params)))
			return m
		case r.missing[name]:
			return m
		}
		number = p.Kind == Integer && m == s
		return string(r.values[name])
	})
	if rest := reference.ReplaceAllString(s, ""); strings.Contains(rest, "${") {
		r.fault(path, "has a \"${\" that nothing closes", "write ${name}")
	}
	return out, number
}

func (r *resolver) substitute(v any, path string) any {
	switch v := v.(type) {
	case string:
		s, number := r.text(v, path)
		if number {
			return json.Number(s)
		}
		return s
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = r.substitute(e, fmt.Sprintf("%s[%d]", path, i))
		}
		return list
	case object:
		o := object{}
		for _, name := range sortedKeys(v) {
			o[name] = r.substitute(v[name], below(path, name))
		}
		return o
	}
	return v
}

// profile takes the properties of the profile, and what is written or set instead.
func (r *resolver) profile(out *Resolved, set map[string]string) {
	ds := out.Service.Dataset
	if ds == nil {
		return
	}
	p, ok := dataset.LookupProfile(ds.Profile)
	if !ok {
		hint := unknownHint(ds.Profile, dataset.ProfileNames())
		if ds.Profile == "" {
			hint = oneOf(dataset.ProfileNames())
		}
		if _, set := r.options.Set["profile"]; set && !r.isParameter("profile") {
			r.faults = append(r.faults, &Fault{File: setFile, Field: "profile", Reason: fmt.Sprintf("there is no profile %q", ds.Profile), hint: hint})
			return
		}
		r.fault("service.dataset.profile", fmt.Sprintf("there is no profile %q", ds.Profile), hint)
		return
	}
	props, names := map[string]Property{}, map[string]string{}
	put := func(name string, pp Property, file string) {
		path := below("service.dataset.properties", name)
		fault := func(reason, hint string) {
			if file != "" {
				r.faults = append(r.faults, &Fault{File: file, Field: stateward.OptionPath("properties", name), Reason: reason, hint: hint})
				return
			}
			r.fault(path, reason, hint)
		}
		s, err := dataset.ParseSetting(name, pp.Value, dataset.Filesystem)
		switch {
		case name == "mountpoint" || name == "canmount":
			fault("is no matter of properties", "the dataset is mounted at service.dataset.mountpoint, or at dataDir")
			return
		case err != nil:
			fault(err.Error(), hintOf(err))
			return
		case props[s.Name()].From == pp.From:
			// recsize is recordsize.
			fault(fmt.Sprintf("is %s in other words", names[s.Name()]), "leave one of them out")
			return
		}
		pp.Property, pp.Value = s.Name(), s.Text()
		props[pp.Property], names[pp.Property] = pp, name
	}
	for _, pp := range p.Properties {
		put(pp.Property, Property{Value: pp.Value, From: "profile " + p.Name, Reason: pp.Reason, Source: pp.Source}, "")
	}
	for _, name := range sortedKeys(ds.Properties) {
		put(name, Property{Value: ds.Properties[name], From: "template"}, "")
	}
	for _, name := range sortedKeys(set) {
		put(name, Property{Value: set[name], From: setFile}, setFile)
	}
	ds.Properties = map[string]string{}
	for _, name := range sortedKeys(props) {
		ds.Properties[name] = props[name].Value
		out.Properties = append(out.Properties, props[name])
	}
}

func hintOf(err error) string {
	if h, ok := err.(interface{ Hint() string }); ok {
		return h.Hint()
	}
	return ""
}

type kindError struct{ reason, hint string }

func (e *kindError) Error() string { return e.reason }
func (e *kindError) Hint() string  { return e.hint }

func checkKind(k Kind, value string) error {
	switch k {
	case Path:
		return checkPath(value)
	case Dataset:
		_, err := dataset.ParseName(value)
		return err
	case Owner:
		_, err := stateward.ParseOwner(value)
		return err
	case Integer:
		if n, err := strconv.ParseInt(value, 10, 64); err != nil || n < 0 || n > 1<<32-2 || strconv.FormatInt(n, 10) != value {
			return &kindError{fmt.Sprintf("%q is no whole number from 0 to 4294967294", value), "write digits only"}
		}
		return nil
	}
	return checkText(value)
}

func checkPath(value string) error {
	p, err := stateward.ParsePath(value)
	if err == nil && p.String() != value {
		return &kindError{fmt.Sprintf("path %q is not written out", value), fmt.Sprintf("write %s", p)}
	}
	return err
}

func checkText(value string) error {
	switch {
	case value == "":
		return &kindError{"is empty", "write a value, or leave the field out"}
	case strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) >= 0:
		return &kindError{fmt.Sprintf("%q has a control character, or is no UTF-8", value), "write one line of text"}
	}
	return nil
}
