package cli

import (
	"encoding"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/aggregate/template"
	"github.com/stateward/stateward/backup/notify"
	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/docs/schema"
	"github.com/stateward/stateward/internal/capture"
	"github.com/stateward/stateward/internal/golden"
)

// outputs are the documents whose schemas are written from Go types.
var outputs = []struct {
	name, description string
	typ               reflect.Type
	// consts are properties that have one value only.
	consts map[string]any
}{
	{"apply", "What `stateward dataset apply -o json` prints.", reflect.TypeFor[ApplyOutput](), map[string]any{"protocolVersion": protocolVersion}},
	{"backup", "What `stateward backup run -o json` prints.", reflect.TypeFor[BackupOutput](), map[string]any{"protocolVersion": protocolVersion}},
	{"backup-plan", "What `stateward backup plan -o json` prints.", reflect.TypeFor[BackupPlan](), map[string]any{"protocolVersion": protocolVersion}},
	{"backup-paths", "What `stateward backup plan -o paths` prints.", reflect.TypeFor[CollectedBackups](), map[string]any{"protocolVersion": protocolVersion}},
	{"backup-status", "What `stateward backup status -o json` prints.", reflect.TypeFor[BackupStatusOutput](), map[string]any{"protocolVersion": protocolVersion}},
	{"cache", "What `stateward cache -o json` prints.", reflect.TypeFor[CacheOutput](), map[string]any{"protocolVersion": protocolVersion}},
	{"capture", "What `stateward capture persist` writes and `stateward check --capture` reads: docs/capture.md.", reflect.TypeFor[stateward.Listing](),
		map[string]any{"kind": stateward.ListingKind, "version": stateward.ListingVersion}},
	{"check", "What `stateward check -o json` prints.", reflect.TypeFor[CheckOutput](), map[string]any{"protocolVersion": protocolVersion}},
	{"dataset-plan", "What `stateward dataset plan -o json` prints.", reflect.TypeFor[DatasetPlan](), map[string]any{"protocolVersion": protocolVersion}},
	{"diff", "What `stateward diff -o json` prints.", reflect.TypeFor[DiffOutput](), map[string]any{"protocolVersion": protocolVersion}},
	{"host-plan", "The plan of a host: what `stateward plan host --write DIR` writes and `stateward.plan` wires.", reflect.TypeFor[aggregate.HostPlan](), map[string]any{"protocolVersion": aggregate.HostPlanVersion}},
	{"host-plans", "What `stateward plan host -o json` prints.", reflect.TypeFor[HostPlans](), map[string]any{"protocolVersion": protocolVersion}},
	{"drill", "What `stateward drill -o json` prints.", reflect.TypeFor[DrillOutput](), map[string]any{"protocolVersion": protocolVersion}},
	{"preseed", "What `stateward preseed run -o json` and `stateward preseed explain -o json` print.", reflect.TypeFor[PreseedOutput](), map[string]any{"protocolVersion": protocolVersion}},
	{"preseed-plan", "What `stateward preseed plan -o json` prints.", reflect.TypeFor[PreseedPlan](), map[string]any{"protocolVersion": protocolVersion}},
	{"preseed-status", "What `stateward preseed status -o json` prints.", reflect.TypeFor[PreseedStatusOutput](), map[string]any{"protocolVersion": protocolVersion}},
	{"pitr-plan", "What `stateward pitr plan -o json` prints.", reflect.TypeFor[PITRPlan](), map[string]any{"protocolVersion": protocolVersion}},
	{"pitr-job", "What `stateward pitr backup -o json`, `retain` and `check` print.", reflect.TypeFor[PITRJobOutput](), map[string]any{"protocolVersion": protocolVersion}},
	{"pitr-policy", "How a cluster of PostgreSQL is archived: docs/pitr.md.", reflect.TypeFor[pitr.Policy](), nil},
	{"pitr-recover", "What `stateward pitr recover -o json` prints.", reflect.TypeFor[PITRRecoverOutput](), map[string]any{"protocolVersion": protocolVersion}},
	{"pitr-status", "What `stateward pitr status -o json` prints.", reflect.TypeFor[PITRStatusOutput](), map[string]any{"protocolVersion": protocolVersion}},
	{"pitr-window", "What `stateward pitr window -o json` prints.", reflect.TypeFor[PITRWindowOutput](), map[string]any{"protocolVersion": protocolVersion}},
	{"guard", "What `stateward guard status -o json` prints.", reflect.TypeFor[GuardStatusOutput](), map[string]any{"protocolVersion": protocolVersion}},
	{"drift", "What `stateward dataset drift -o json` prints.", reflect.TypeFor[DriftOutput](), map[string]any{"protocolVersion": protocolVersion}},
	{"migration", "What `stateward plan migrate -o json` prints.", reflect.TypeFor[MigrationOutput](), map[string]any{"protocolVersion": protocolVersion}},
	{"notify", "What `stateward notify -o json` prints.", reflect.TypeFor[NotifyOutput](), map[string]any{"protocolVersion": protocolVersion}},
	{"notify-plan", "Who is told what: docs/notifications.md.", reflect.TypeFor[notify.Plan](), map[string]any{"protocolVersion": notify.FormatVersion}},
	{"notify-post", "What a webhook is sent: docs/notifications.md.", reflect.TypeFor[notify.Post](), map[string]any{"protocolVersion": notify.FormatVersion}},
	{"notify-units", "What `stateward notify units -o json` prints.", reflect.TypeFor[NotifyUnitsOutput](), map[string]any{"protocolVersion": protocolVersion}},
	{"pool", "What `stateward capture zfs` writes: docs/capture.md.", reflect.TypeFor[capture.PoolFile](),
		map[string]any{"kind": capture.PoolKind, "version": capture.PoolVersion}},
	{"plan", "What `stateward plan persistence -o json` prints.", reflect.TypeFor[PersistencePlan](), map[string]any{"protocolVersion": protocolVersion}},
	{"snapshot-plan", "What `stateward snapshot plan -o json` prints.", reflect.TypeFor[SnapshotPlan](), map[string]any{"protocolVersion": protocolVersion}},
	{"template", "A template of a service: docs/templates.md.", reflect.TypeFor[template.Template](), nil},
	{"units", "What `stateward eval --units -o json` prints.", reflect.TypeFor[UnitsOutput](), map[string]any{"protocolVersion": protocolVersion}},
}

// The schemas that are committed are those of the types, with their docstrings.
func TestSchemasAreFresh(t *testing.T) {
	src := newSources(t)
	for _, o := range outputs {
		out := src.schema(o.typ, "stateward "+o.name, o.description, o.consts)
		if o.name == "template" {
			out.Required = []string{"name", "description"}
			partial(out, true)
		}
		if o.name == "notify-plan" || o.name == "pitr-policy" {
			strict(out)
		}
		text, err := json.MarshalIndent(out, "", "  ")
		require.NoError(t, err)
		golden.Compare(t, filepath.Join(repository, "docs/schema", o.name+".json"), append(text, '\n'))
	}
}

// partial lets everything below be left out, and taken away with null: what a template extends has it.
func partial(s *jsonschema.Schema, top bool) {
	if !top {
		s.Required = nil
		if s.Type != "" {
			s.Type, s.Types = "", []string{s.Type, "null"}
		} else if len(s.Types) > 0 && !slices.Contains(s.Types, "null") {
			s.Types = append(slices.Clone(s.Types), "null")
		}
		if s.Enum != nil {
			s.Types, s.Enum = []string{"string", "null"}, nil // a parameter may stand for it
		}
	}
	s.AdditionalProperties = closed(s)
	for _, p := range s.Properties {
		partial(p, false)
	}
	for _, p := range []*jsonschema.Schema{s.Items, s.AdditionalProperties} {
		if p != nil && p.Not == nil {
			partial(p, false)
		}
	}
}

// closed refuses fields that an object of its own type does not have: of a file, unlike an output, that is a mistake.
func closed(s *jsonschema.Schema) *jsonschema.Schema {
	if len(s.Properties) == 0 || s.AdditionalProperties != nil {
		return s.AdditionalProperties
	}
	return &jsonschema.Schema{Not: &jsonschema.Schema{}}
}

// strict refuses fields that are not known, everywhere.
func strict(s *jsonschema.Schema) {
	s.AdditionalProperties = closed(s)
	for _, p := range s.Properties {
		strict(p)
	}
	for _, p := range []*jsonschema.Schema{s.Items, s.AdditionalProperties} {
		if p != nil && p.Not == nil {
			strict(p)
		}
	}
}

// sources are the docstrings of our types and fields, and the constants of each type of texts.
type sources struct {
	t      *testing.T
	seen   map[string]bool
	docs   map[string]string // by "import path.Type" or "import path.Type.Field"
	consts map[string][]any
}

func newSources(t *testing.T) *sources {
	return &sources{t: t, seen: map[string]bool{}, docs: map[string]string{}, consts: map[string][]any{}}
}

const modulePath = "github.com/stateward/stateward"

func ours(t reflect.Type) bool {
	return t.PkgPath() == modulePath || strings.HasPrefix(t.PkgPath(), modulePath+"/")
}

// read parses the package of a type.
func (s *sources) read(pkg string) {
	if s.seen[pkg] {
		return
	}
	s.seen[pkg] = true
	files, err := filepath.Glob(filepath.Join(repository, strings.TrimPrefix(strings.TrimPrefix(pkg, modulePath), "/"), "*.go"))
	require.NoError(s.t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		require.NoError(s.t, err)
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range g.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					key := pkg + "." + spec.Name.Name
					s.docs[key] = plainDoc(first(spec.Doc, g.Doc))
					if st, ok := spec.Type.(*ast.StructType); ok {
						for _, f := range st.Fields.List {
							for _, n := range f.Names {
								s.docs[key+"."+n.Name] = plainDoc(first(f.Doc, f.Comment))
							}
						}
					}
				case *ast.ValueSpec:
					named, ok := spec.Type.(*ast.Ident)
					if g.Tok != token.CONST || !ok {
						continue
					}
					for _, v := range spec.Values {
						if lit, ok := v.(*ast.BasicLit); ok && lit.Kind == token.STRING {
							text, err := strconv.Unquote(lit.Value)
							require.NoError(s.t, err)
							s.consts[pkg+"."+named.Name] = append(s.consts[pkg+"."+named.Name], text)
						}
					}
				}
			}
		}
	}
}

func first(a, b *ast.CommentGroup) *ast.CommentGroup {
	if a != nil {
		return a
	}
	return b
}

var docLink = regexp.MustCompile(`\[([A-Z][A-Za-z.]*|[a-z]+\.[A-Z][A-Za-z.]*)\]`)

// plainDoc is a docstring on one line, without links.
func plainDoc(g *ast.CommentGroup) string {
	if g == nil {
		return ""
	}
	return docLink.ReplaceAllString(strings.Join(strings.Fields(g.Text()), " "), "$1")
}

// collect finds how the types below one are written, where that is not how jsonschema takes it.
func (s *sources) collect(t reflect.Type, into map[reflect.Type]*jsonschema.Schema) {
	if _, done := into[t]; done {
		return
	}
	if ours(t) {
		s.read(t.PkgPath())
	}
	switch {
	case t == reflect.TypeFor[[]byte]():
		into[t] = &jsonschema.Schema{Type: "string", ContentEncoding: "base64"}
	case t == reflect.TypeFor[template.Scalar]():
		into[t] = &jsonschema.Schema{Types: []string{"string", "integer"}}
	case t == reflect.TypeFor[dataset.Setting]():
		into[t] = &jsonschema.Schema{Type: "object", Required: []string{"property", "value"}, Properties: map[string]*jsonschema.Schema{
			"property": {Type: "string"}, "value": {Type: "string", Description: "As `zfs get -Hp` prints it."}}}
	case t == reflect.TypeFor[stateward.Owner](), t == reflect.TypeFor[stateward.Mode]():
		into[t] = &jsonschema.Schema{Type: "string"}
	case t == reflect.TypeFor[dataset.Plan]():
		into[t] = s.plan()
	case t == reflect.TypeFor[stateward.Severity]():
		into[t] = &jsonschema.Schema{Type: "string", Enum: []any{"info", "warning", "error"}}
	case ours(t) && (t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) || reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextMarshaler]())):
		into[t] = &jsonschema.Schema{Type: "string"}
	case ours(t) && t.Kind() == reflect.String:
		into[t] = &jsonschema.Schema{Type: "string", Enum: s.consts[t.PkgPath()+"."+t.Name()]}
	default:
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice:
			s.collect(t.Elem(), into)
		case reflect.Map:
			s.collect(t.Key(), into)
			s.collect(t.Elem(), into)
		case reflect.Struct:
			for i := range t.NumField() {
				if f := t.Field(i); f.IsExported() {
					s.collect(f.Type, into)
				}
			}
		}
	}
}

// plan is how a plan is written: each step has its kind in a field of its own.
func (s *sources) plan() *jsonschema.Schema {
	of := func(t reflect.Type) *jsonschema.Schema {
		types := map[reflect.Type]*jsonschema.Schema{}
		s.collect(t, types)
		out, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: types})
		require.NoError(s.t, err)
		s.finish(out, t, types)
		return out
	}
	op := of(reflect.TypeFor[struct {
		Op string `json:"op"`
		dataset.Step
		Type     dataset.Types     `json:"type,omitzero"`
		Settings []dataset.Setting `json:"settings,omitempty"`
		Setting  *dataset.Setting  `json:"setting,omitempty"`
		Property string            `json:"property,omitempty"`
		Was      string            `json:"was,omitempty"`
		WasFrom  dataset.Source    `json:"wasFrom,omitempty"`
		WasIn    dataset.Name      `json:"wasIn,omitzero"`
		Path     stateward.AbsPath `json:"path,omitzero"`
		Owner    stateward.Owner   `json:"owner,omitzero"`
		Group    stateward.Owner   `json:"group,omitzero"`
		Mode     stateward.Mode    `json:"mode,omitzero"`
	}]())
	op.AdditionalProperties = nil
	var kinds []any
	for _, o := range []dataset.Op{&dataset.Create{}, &dataset.Set{}, &dataset.Inherit{}, &dataset.MakeMountpoint{}, &dataset.MountDataset{}, &dataset.Own{}} {
		kinds = append(kinds, dataset.OpKind(o))
	}
	op.Properties["op"].Enum = kinds
	return &jsonschema.Schema{Type: "object", Required: []string{"ops", "conflicts"}, Properties: map[string]*jsonschema.Schema{
		"ops": {Type: "array", Items: op, Description: "The steps in the order in which they are to be done."}, "conflicts": of(reflect.TypeFor[[]dataset.Conflict]())}}
}

func (s *sources) schema(t reflect.Type, title, description string, consts map[string]any) *jsonschema.Schema {
	types := map[reflect.Type]*jsonschema.Schema{}
	s.collect(t, types)
	out, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: types})
	require.NoError(s.t, err)
	s.finish(out, t, types)
	out.Schema, out.Title, out.Description = "https://json-schema.org/draft/2020-12/schema", title, description
	for name, value := range consts {
		require.Contains(s.t, out.Properties, name)
		out.Properties[name] = &jsonschema.Schema{Const: &value, Description: out.Properties[name].Description}
	}
	return out
}

// finish says what the docstrings say, allows fields that a later version adds, and says null nowhere, since it is never written.
func (s *sources) finish(out *jsonschema.Schema, t reflect.Type, types map[reflect.Type]*jsonschema.Schema) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if len(out.Types) == 2 && out.Types[0] == "null" {
		out.Type, out.Types = out.Types[1], nil
	}
	if _, known := types[t]; known {
		return
	}
	switch t.Kind() {
	case reflect.Slice:
		s.finish(out.Items, t.Elem(), types)
	case reflect.Map:
		s.finish(out.AdditionalProperties, t.Elem(), types)
		if key := types[t.Key()]; key != nil && len(key.Enum) > 0 {
			out.PropertyNames = &jsonschema.Schema{Enum: key.Enum}
		}
	case reflect.Struct:
		if !ours(t) {
			return
		}
		out.AdditionalProperties = nil
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			p := out.Properties[name]
			if !f.IsExported() || p == nil {
				continue
			}
			s.finish(p, f.Type, types)
			p.Description = s.docs[t.PkgPath()+"."+t.Name()+"."+f.Name]
			inner := f.Type
			for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			if p.Description == "" && ours(inner) {
				p.Description = s.docs[inner.PkgPath()+"."+inner.Name()]
			}
		}
	}
}

func resolved(t *testing.T, name string) *jsonschema.Resolved {
	t.Helper()
	text, ok := schema.Text(name)
	require.True(t, ok, name)
	var s jsonschema.Schema
	require.NoError(t, json.Unmarshal(text, &s))
	r, err := s.Resolve(nil)
	require.NoError(t, err)
	return r
}

func instance(t *testing.T, text string) any {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal([]byte(text), &v), "%s", text)
	return v
}

// What the command really prints and writes is what the schemas say: of sound hosts, of partial ones and of failed ones.
func TestOutputsAreOfTheirSchemas(t *testing.T) {
	cache := t.TempDir()
	failing := filepath.Join(t.TempDir(), "hosts.nix")
	require.NoError(t, os.WriteFile(failing, []byte(`{ bad.config = throw "not today"; odd.config = { fileSystems."/" = { device = "tmpfs"; fsType = "tmpfs"; }; users.users.x = ./.; environment.etc."x" = y: y; }; }`), 0o644))
	persist := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(persist, "n\xffme"), []byte("x"), 0o600))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(persist, "link")))
	listing := filepath.Join(t.TempDir(), "listing.json")
	require.Equal(t, StatusOK, run(t, nil, "capture", "persist", persist, "--no-live", "--host", "forge", "-o", listing).status)
	homelab := filepath.Join(repository, "examples/homelab")

	for _, tc := range []struct {
		schema string
		args   []string
	}{
		{"check", []string{"check", homelab, "-o", "json"}},
		{"check", []string{"check", failing, "-o", "json"}},
		{"check", []string{"check", homelab + "#forge", "-o", "json", "--capture", listing}},
		{"plan", []string{"plan", "persistence", homelab, "-o", "json"}},
		{"plan", []string{"plan", "persistence", failing, "-o", "json"}},
		{"dataset-plan", []string{"dataset", "plan", homelab, "-o", "json"}},
		{"dataset-plan", []string{"dataset", "plan", failing, "-o", "json"}},
		{"dataset-plan", []string{"dataset", "plan", filepath.Join(repository, "testdata/datasets.nix"), "-o", "json"}},
		{"diff", []string{"diff", failing, homelab, "-o", "json"}},
		{"diff", []string{"diff", filepath.Join(repository, "examples/diff/old.nix"), filepath.Join(repository, "examples/diff/new.nix"), "-o", "json"}},
		{"evaluation", []string{"eval", homelab}},
		{"evaluation", []string{"eval", failing}},
		{"evaluation", []string{"eval", homelab + "#forge"}},
	} {
		t.Run(strings.Join(tc.args[:1], " ")+" "+filepath.Base(tc.args[len(tc.args)-1]), func(t *testing.T) {
			r := run(t, nil, append(tc.args, "--cache-dir", cache, "-q")...)
			require.NoError(t, resolved(t, tc.schema).Validate(instance(t, r.stdout)), "%s", r.stdout)
		})
	}
	r := run(t, nil, "cache", "-o", "json", "--cache-dir", cache)
	require.NoError(t, resolved(t, "cache").Validate(instance(t, r.stdout)), "%s%s", r.stdout, r.stderr)
	text, err := os.ReadFile(listing)
	require.NoError(t, err)
	require.NoError(t, resolved(t, "capture").Validate(instance(t, string(text))), "%s", text)

	dir := t.TempDir()
	require.Equal(t, StatusOK, run(t, nil, "golden", "--update", homelab, dir, "--cache-dir", cache, "-q").status)
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.json"))
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, resolved(t, "golden").Validate(instance(t, string(text))), file)
	}
}

// A schema that takes anything says nothing.
func TestSchemasRefuse(t *testing.T) {
	const host = `{"name":"a","source":".","status":"ok","dialects":["nixos"],"root":{"wiped":"yes","by":"x"},
		"findings":[{"code":"SW101","severity":"error","subject":"s","message":"m"}],
		"survival":[{"service":"s","path":"/p","origin":"dataDir","tiers":{"reboot":{"state":"no","by":"x"}}}],
		"unknown":[{"subject":"s","kind":"throw"}]}`
	check := `{"protocolVersion":"1","hosts":[` + host + `]}`
	const evaluation = `{"format":"stateward-evaluation","version":1,"nix":"2.8.0","source":".","hosts":[
		{"name":"a","source":".#a","status":"ok","tree":{"nixos":{"detected":true,"sections":{"x":[1,{"__stateward":"unknown","kind":"throw"}]},"where":{}}}},
		{"name":"b","source":".#b","status":"failed","error":{"message":"m"}}]}`
	const golden = `{"comment":"written by stateward golden","host":"a","status":"ok","dialects":{"nixos":{"x":{"__stateward":"path","path":"./x"}}}}`
	for _, tc := range []struct{ schema, good, old, new string }{
		{"check", check, `"protocolVersion":"1"`, `"protocolVersion":"2"`},
		{"check", check, `"protocolVersion":"1",`, ``},
		{"check", check, `"status":"ok"`, `"status":"fine"`},
		{"check", check, `"severity":"error"`, `"severity":"grave"`},
		{"check", check, `"severity":"error"`, `"severity":3`},
		{"check", check, `"state":"no"`, `"state":"maybe"`},
		{"check", check, `"reboot"`, `"restart"`},
		{"check", check, `"kind":"throw"`, `"kind":"mood"`},
		{"check", check, `"wiped":"yes"`, `"wiped":true`},
		{"check", check, `"message":"m"`, `"massage":"m"`},
		{"check", check, `"dialects":["nixos"]`, `"dialects":null`},
		{"check", check, `[` + host + `]`, `{}`},
		{"evaluation", evaluation, `"version":1`, `"version":2`},
		{"evaluation", evaluation, `"status":"ok"`, `"status":"failed"`},
		{"evaluation", evaluation, `"status":"failed"`, `"status":"partial"`},
		{"evaluation", evaluation, `"__stateward":"unknown"`, `"__stateward":"unheard"`},
		{"evaluation", evaluation, `"kind":"throw"`, `"kind":"mood"`},
		{"evaluation", evaluation, `"detected":true`, `"detected":"yes"`},
		{"evaluation", `{"format":"stateward-evaluation","version":1,"nix":"","source":"","hosts":[{"name":"b","source":"","status":"failed","error":{"message":"m"}}]}`, `{"name":"b","source":"","status":"failed","error":{"message":"m"}}`, ``},
		{"golden", golden, `"status":"ok"`, `"status":"failed"`},
		{"golden", golden, `"path":"./x"`, `"path":1`},
		{"golden", golden, `"comment":"written by stateward golden",`, ``},
		{"plan", `{"protocolVersion":"1","hosts":[]}`, `"hosts":[]`, `"hosts":[{}]`},
		{"cache", `{"protocolVersion":"1","folder":"/x","entries":[],"copies":0}`, `"entries":[]`, `"entries":[{"key":1}]`},
		{"capture", fmt.Sprintf(`{"kind":%q,"version":%d,"host":"a","taken":"2026-01-01T00:00:00Z","roots":[]}`, stateward.ListingKind, stateward.ListingVersion), `"host":"a"`, `"host":1`},
	} {
		r := resolved(t, tc.schema)
		require.NoError(t, r.Validate(instance(t, tc.good)), tc.good)
		bad := strings.Replace(tc.good, tc.old, tc.new, 1)
		require.NotEqual(t, tc.good, bad, tc.old)
		require.Error(t, r.Validate(instance(t, bad)), "%s: %s", tc.schema, bad)
	}
}

// What a later version adds is no fault.
func TestSchemasAllowMore(t *testing.T) {
	for _, name := range []string{"check", "plan"} {
		require.NoError(t, resolved(t, name).Validate(instance(t, `{"protocolVersion":"1","hosts":[],"later":{"x":1}}`)))
	}
}

func TestSchemaCommand(t *testing.T) {
	r := run(t, nil, "schema")
	require.Equal(t, StatusOK, r.status)
	names := strings.Fields(r.stdout)
	require.Equal(t, schema.Names(), names)
	for _, o := range outputs {
		require.True(t, slices.Contains(names, o.name), o.name)
	}
	for _, name := range names {
		r := run(t, nil, "schema", name)
		require.Equal(t, StatusOK, r.status)
		// Where the files are being written, those that are compiled in are the older ones.
		if !golden.Updating() {
			file, err := os.ReadFile(filepath.Join(repository, "docs/schema", name+".json"))
			require.NoError(t, err)
			require.Equal(t, string(file), r.stdout)
		}
	}
	for _, bad := range []string{"nope", "../schema/check", "", "*"} {
		r := run(t, nil, "schema", bad)
		require.Equal(t, StatusUsage, r.status, bad)
		require.Contains(t, r.stderr, "hint: there is apply, backup, ")
	}
}
