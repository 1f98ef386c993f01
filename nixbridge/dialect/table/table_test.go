package table_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
	"github.com/stateward/stateward/nixbridge/dialect/internal/evaltest"
	"github.com/stateward/stateward/nixbridge/dialect/table"
)

func TestParse(t *testing.T) {
	row := func(s string) string { return `[{"service": "x", "source": "s"` + s + `}]` }
	for name, tc := range map[string]struct{ text, want, mend string }{
		"no list":                  {`{}`, "expected a JSON list of rows: json: cannot unmarshal object into Go value of type []json.RawMessage", ""},
		"truncated":                {`[{"service": "x"`, "expected a JSON list of rows: unexpected EOF", ""},
		"more behind it":           {`[] []`, "expected a JSON list of rows: there is more behind it", ""},
		"an unknown field":         {row(`, "enable": "a.b", "path": "/a"`), `row 1 (x): unknown field "path"`, "the fields are service"},
		"a wrong type":             {row(`, "enable": "a.b", "paths": "/a"`), `row 1 (x): cannot unmarshal string into Go struct field Row.paths of type []string`, "the fields are"},
		"no service":               {`[{"enable": "a.b", "paths": ["/a"], "source": "s"}]`, "row 1: service: it is missing", "name the service"},
		"a service that is none":   {`[{"service": "a b", "enable": "a.b", "paths": ["/a"], "source": "s"}]`, `row 1 (a b): service: "a b" is no name`, "name the service"},
		"a star without a set":     {`[{"service": "x-*", "enable": "a.b", "paths": ["/a"], "source": "s"}]`, `row 1 (x-*): service: it has a "*", and option has not exactly one`, "leave"},
		"neither paths nor option": {row(`, "enable": "a.b"`), "row 1 (x): paths: neither paths nor option is given", "write paths"},
		"both paths and option":    {row(`, "enable": "a.b", "paths": ["/a"], "option": "a.c"`), "row 1 (x): option: there are paths too", "leave one"},
		"no enable":                {row(`, "paths": ["/a"]`), "row 1 (x): enable: it is missing", "name the option"},
		"no source":                {`[{"service": "x", "enable": "a.b", "paths": ["/a"]}]`, "row 1 (x): source: it is missing", "say where"},
		"an option that is none":   {row(`, "enable": "a b", "paths": ["/a"]`), `row 1 (x): enable: option path "a b": "a b" is no identifier`, "write the option's path"},
		"an option with quotes":    {row(`, "enable": "a.\"b c\".d", "paths": ["/a"]`), `row 1 (x): enable: option path "a.\"b c\".d": "b c" is no identifier`, "write the option's path"},
		"an option of one name":    {row(`, "enable": "a", "paths": ["/a"]`), `row 1 (x): enable: option path "a" has one component only`, "write"},
		"an open path":             {row(`, "enable": "a..b", "paths": ["/a"]`), `row 1 (x): enable: option path "a..b" has an empty component`, "write"},
		"a star at the end":        {row(`, "option": "a.*"`), `row 1 (x): option: option path "a.*" ends in "*"`, "write"},
		"a star at the beginning":  {row(`, "option": "*.a"`), `row 1 (x): option: option path "*.a" begins with "*"`, "write"},
		"a star of its own":        {row(`, "enable": "a.*.enable", "option": "a.b.dir"`), `row 1 (x): enable: its "*" is not one of option`, "let both begin alike"},
		"P10 a relative path":      {row(`, "enable": "a.b", "paths": ["/a", "var/lib/x"]`), `row 1 (x): paths[1]: path "var/lib/x" is not absolute`, "write an absolute path"},
		"P10 an empty path":        {row(`, "enable": "a.b", "paths": [""]`), `row 1 (x): paths[0]: path is empty`, "write an absolute path"},
		"P10 ..":                   {row(`, "enable": "a.b", "paths": ["/a/../b"]`), `row 1 (x): paths[0]: path "/a/../b" contains ".."`, "write an absolute path"},
		"P10 a trailing slash":     {row(`, "enable": "a.b", "paths": ["/a/"]`), `row 1 (x): paths[0]: path "/a/" is spelt otherwise than /a`, "write an absolute path"},
		"the root":                 {row(`, "enable": "a.b", "paths": ["/"]`), `row 1 (x): paths[0]: path / is no place of one service`, "write an absolute path"},
		"unless with a star":       {row(`, "enable": "a.b", "unless": "a.*.b", "paths": ["/a"]`), `row 1 (x): unless: it has a "*"`, "name one"},
		"an option in an enable":   {`[{"service": "x", "enable": "a.b", "paths": ["/a"], "source": "s"}, {"service": "y", "enable": "a.b.c", "paths": ["/a"], "source": "t"}]`, `row 1 (x): enable: option path "a.b" holds a.b.c of another row`, "name the option"},
		"below without an option":  {row(`, "enable": "a.b", "paths": ["/a"], "below": "/b"`), `row 1 (x): below: there is no option`, "leave it out"},
		"D5 a mode":                {row(`, "enable": "a.b", "paths": ["/a"], "mode": "999"`), `row 1 (x): mode: mode "999"`, "write four octal digits"},
		"D9 a user":                {row(`, "enable": "a.b", "paths": ["/a"], "user": "a b"`), `row 1 (x): user: owner "a b" contains " "`, "write the name of a user"},
		"the same again":           {`[{"service": "x", "enable": "a.b", "paths": ["/a"], "source": "s"}, {"service": "x", "enable": "a.b", "paths": ["/a"], "source": "t"}]`, "row 2 (x): it repeats row 1", "drop one"},
		"a star beside a name":     {`[{"service": "x", "option": "a.b.*.d", "source": "s"}, {"service": "y", "enable": "a.b.c.e", "paths": ["/a"], "source": "t"}]`, `row 2 (y): enable: option path "a.b.c.e" has a "*" where another row has a name`, "name every one"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := table.Parse([]byte(tc.text))
			require.ErrorContains(t, err, tc.want)
			if re := (*table.RowError)(nil); errors.As(err, &re) {
				require.Contains(t, re.Hint(), tc.mend)
			} else {
				require.Empty(t, tc.mend)
			}
		})
	}
	t.Run("every fault is told", func(t *testing.T) {
		_, err := table.Parse([]byte(`[{"service": "x"}, {"service": "y", "enable": "a.b", "paths": ["y"], "source": "s"}]`))
		require.EqualError(t, err, "row 1 (x): paths: neither paths nor option is given\nrow 1 (x): enable: it is missing\nrow 1 (x): source: it is missing\nrow 2 (y): paths[0]: path \"y\" is not absolute")
	})
	_, err := table.New("a.b", nil)
	require.EqualError(t, err, `name of a table: "a.b" is no identifier`)
}

var rows = []table.Row{
	{Service: "fixed", Enable: "services.fixed.enable", Paths: []string{"/var/lib/fixed", "/etc/fixed"}, Source: "s"},
	{Service: "fixed", Enable: "services.fixed.enable", Paths: []string{"/etc/fixed.conf"}, File: true, User: "fixed", Mode: "0600", Perhaps: true, Source: "s"},
	{Service: "deep", Enable: "services.deep.server.enable", Paths: []string{"/var/lib/deep"}, Source: "s"},
	{Service: "dir", Enable: "services.dir.enable", Option: "services.dir.dataDir", Source: "s"},
	{Service: "dir", Enable: "services.dir.enable", Option: "services.dir.others", Below: "/var/lib", Source: "s"},
	{Service: "each-*", Option: "services.each.repos.*.path", Source: "s"},
	{Service: "server-*", Enable: "services.many.servers.*.enable", Option: "services.many.servers.*.dir", Source: "s"},
	{Service: "gated", Enable: "services.gated.enable", Option: "services.gated.parts.*.sub.dir", Source: "s"},
	{Service: "mail", Enable: "services.mail.enable", Unless: "services.mail.volatile", Option: "services.mail.location", Source: "s"},
	{Service: "certs", Enable: "security.certs.all", Paths: []string{"/var/lib/certs"}, Source: "s"},
}

// lines shows the services that a table finds, without those that are off and name nothing.
func lines(h stateward.Host) []string {
	var out []string
	for _, s := range h.Services.Or(nil) {
		paths, complete := s.StatePaths()
		line := s.Name + " " + s.Enable.String()
		for _, p := range paths {
			line += fmt.Sprintf(" %s %q", p.Source, p.Text)
			if p.Problem != nil {
				line += " ! " + p.Problem.Error()
			}
			if p.Kind == stateward.File {
				line += " file"
			}
			if p.HasOwner() {
				line += fmt.Sprintf(" %s:%s %s", p.User, p.Group, p.Mode)
			}
			if p.Pattern {
				line += " and so on"
			}
			if p.Perhaps {
				line += " perhaps"
			}
		}
		if !complete {
			line += " " + s.State.String()
		}
		out = append(out, line)
	}
	if h.Services.IsUnknown() {
		out = append(out, h.Services.String())
	}
	return out
}

func TestRows(t *testing.T) {
	cases := map[string]struct {
		config        string
		want, unknown []string
	}{
		"fixed paths": {
			config: `services.fixed.enable = true;`,
			want:   []string{`fixed true table "/etc/fixed.conf" file fixed:absent 0600 perhaps table "/var/lib/fixed" table "/etc/fixed"`},
		},
		"P11 one that is off": {
			config: `services.fixed.enable = false;`,
			want:   []string{`fixed false table "/etc/fixed.conf" file fixed:absent 0600 perhaps table "/var/lib/fixed" table "/etc/fixed"`},
		},
		"nothing of it":       {config: `services = { };`},
		"a deep enable":       {config: `services.deep.server.enable = true;`, want: []string{`deep true table "/var/lib/deep"`}},
		"a set that counts":   {config: `security.certs.all.x = { };`, want: []string{`certs true table "/var/lib/certs"`}},
		"a set that is empty": {config: `security.certs.all = { };`, want: []string{`certs false table "/var/lib/certs"`}},
		"a list that counts":  {config: `security.certs.all = [ (throw "no") ];`, want: []string{`certs true table "/var/lib/certs"`}},
		"options": {
			config: `services.dir = { enable = true; dataDir = "/srv/a"; others = [ "b" /srv/c "/nix/store/x" "" null ]; };`,
			want:   []string{`dir true dataDir "/srv/a" place "/var/lib/b" place "/srv/c"`},
		},
		"P10 a relative value": {
			config: `services.dir = { enable = true; dataDir = "a/b"; };`,
			want:   []string{`dir true dataDir "a/b" ! path "a/b" is not absolute`},
		},
		"N6 one that is off needs no values": {
			config: `services.dir = { enable = false; dataDir = throw "no value"; others = abort "not caught"; };`, want: []string{`dir false`},
		},
		"N6 an option without its service is not read": {config: `services.dir.dataDir = abort "not caught";`},
		"N4 a value that throws hides no other": {
			config: `services.dir = { enable = true; dataDir = throw "no"; others = "/b"; }; services.fixed.enable = true;`,
			want: []string{`dir true place "/b" unknown (services.dir.dataDir: throw)`,
				`fixed true table "/etc/fixed.conf" file fixed:absent 0600 perhaps table "/var/lib/fixed" table "/etc/fixed"`},
			unknown: []string{"services.dir.dataDir [throw] "},
		},
		"an enable that throws may be on": {
			config:  `services.dir = { enable = throw "no"; dataDir = "/a"; };`,
			want:    []string{`dir unknown (services.dir.enable: throw) dataDir "/a"`},
			unknown: []string{"services.dir.enable [throw] "},
		},
		"an enable of another type": {
			config:  `services.dir = { enable = 5; dataDir = "/a"; };`,
			want:    []string{`dir unknown (services.dir.enable: expected a Boolean, found an integer)`},
			unknown: []string{"services.dir.enable [type] expected a Boolean, found an integer"},
		},
		"N4 services that throw as a whole": {
			config:  `services = throw "no"; security.certs.all.x = { };`,
			want:    []string{`certs true table "/var/lib/certs"`},
			unknown: []string{"services [throw] ", "services.deep [throw] ", "services.each.repos [throw] ", "services.gated.parts [throw] ", "services.many.servers [throw] "},
		},
		"a path behind a scheme, and before a pattern": {
			config: `services.mail = { enable = true; location = [ "maildir:/var/mail/%d/%n:INDEX=/x" "sqlite:///srv/x.db?mode=rw" "/srv/$USER" "maildir:~/Maildir" "%h/x" ]; };`,
			want:   []string{`mail true place "/var/mail" and so on place "/srv/x.db" place "/srv" and so on`},
		},
		"unless another option is on": {config: `services.mail = { enable = true; volatile = true; location = "/a"; };`},
		"unless what throws is on": {
			config:  `services.mail = { enable = true; volatile = throw "no"; location = "/a"; };`,
			want:    []string{`mail unknown (services.mail.volatile: throw) place "/a"`},
			unknown: []string{"services.mail.volatile [throw] "},
		},
		"each of a set": {
			config: `services.each.repos = { b.path = "/b"; a.path = "/a"; "c d".path = "/c"; e = { }; };`,
			want:   []string{`each-a true place "/a"`, `each-b true place "/b"`, `each-c d true place "/c"`, `each-e true`},
		},
		"N6 each that is on": {
			config: `services.many.servers = { a = { enable = true; dir = "/a"; }; b = { enable = false; dir = throw "no"; }; c.dir = abort "not caught"; };`,
			want:   []string{`server-a true place "/a"`, `server-b false`},
		},
		"a set that throws": {
			config:  `services.many.servers = throw "no"; services.gated = { enable = true; parts = throw "no"; };`,
			want:    []string{`gated true unknown (services.gated.parts: throw)`},
			unknown: []string{"services.gated.parts [throw] ", "services.many.servers [throw] "},
		},
		"N6 a set of what is off": {
			config: `services.gated = { enable = false; parts.a.sub.dir = abort "not caught"; };`, want: []string{`gated false`},
		},
		"a set of what is on": {
			config: `services.gated = { enable = true; parts = { a.sub.dir = "/a"; b.sub.dir = "/b"; }; };`, want: []string{`gated true place "/a" place "/b"`},
		},
	}
	d, err := table.New("state", rows)
	require.NoError(t, err)
	names := slices.Sorted(maps.Keys(cases))
	var texts []string
	for _, name := range names {
		texts = append(texts, "{ config = { "+cases[name].config+" }; }")
	}
	backwards := slices.Clone(rows)
	slices.Reverse(backwards)
	r, err := table.New("state", backwards)
	require.NoError(t, err)
	require.Equal(t, d.Projection, r.Projection)

	trees := evaltest.Read(t, d, texts...)
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			var h, again stateward.Host
			if trees[i].Detected().Or(false) {
				d.Decode(trees[i].Root(), &h)
				r.Decode(trees[i].Root(), &again)
			}
			h.AddUnknown(trees[i].Unknowns()...)
			if diff := gocmp.Diff(cases[name].want, lines(h)); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
			require.Equal(t, lines(h), lines(again), "the order of rows does not matter")
			var unknown []string
			for _, u := range h.Unknown {
				unknown = append(unknown, fmt.Sprintf("%s [%s] %s", u.Subject, u.Kind, u.Message))
			}
			if diff := gocmp.Diff(cases[name].unknown, unknown); diff != "" {
				t.Errorf("unknown: want -, got +\n%s", diff)
			}
		})
	}
}

func TestNoOptionThatWasRemovedIsRead(t *testing.T) {
	d, err := table.New("state", rows)
	require.NoError(t, err)
	h := evaltest.Decode(t, d, `rec {
		options.services.fixed.enable = { _type = "option"; visible = false; };
		options.services.dir.enable = { _type = "option"; };
		options.services.dir.dataDir = { _type = "option"; visible = false; };
		config.services = { fixed.enable = abort "removed"; dir = { enable = true; dataDir = abort "removed"; others = "/a"; }; };
	}`)[0]
	require.Empty(t, h.Unknown)
	require.Equal(t, []string{`dir true place "/a"`}, lines(h))
}

// A saved evaluation of other options lacks a section, and so is refused.
func TestSectionsTellWhichOptionsAreRead(t *testing.T) {
	sections := func(rows ...table.Row) []string {
		d, err := table.New("state", rows)
		require.NoError(t, err)
		return d.Sections
	}
	a := table.Row{Service: "a", Enable: "services.a.enable", Paths: []string{"/a"}, Source: "s"}
	moved, b := a, a
	moved.Paths, b.Enable = []string{"/b"}, "services.b.enable"
	require.Equal(t, sections(a), sections(moved), "where the state is needs no new evaluation")
	require.NotEqual(t, sections(a), sections(b))
	require.Len(t, sections(a), 2)
}

func TestBuiltinTable(t *testing.T) {
	all := table.Rows()
	require.True(t, slices.IsSortedFunc(all, func(a, b table.Row) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Enable, b.Enable), cmp.Compare(a.Unless, b.Unless), cmp.Compare(a.Option, b.Option), slices.Compare(a.Paths, b.Paths))
	}), "sort table.json by service, enable, option, paths")
	for _, r := range all {
		require.NotEmpty(t, r.Source, r.Service)
		// A module, a unit or an address, as somebody can look it up.
		require.Regexp(t, `[A-Za-z0-9_-]+[/.][A-Za-z0-9_-]+`, r.Source, r.Service)
	}
}

// Each row finds its places on a host with its options, and nothing where they are off.
func TestEachBuiltinRowOnAHost(t *testing.T) {
	d := table.Builtin()
	set := func(path, value string) string {
		return strings.ReplaceAll(path, "*", "one") + " = " + value + ";"
	}
	var texts []string
	for _, r := range table.Rows() {
		for _, on := range []string{"true", "false"} {
			config := ""
			if r.Enable != "" {
				config += set(r.Enable, on)
			}
			if r.Option != "" {
				value := `"/srv/table"`
				if on == "false" && r.Enable != "" {
					value = `throw "not needed"`
				}
				config += set(r.Option, value)
			}
			texts = append(texts, "{ config = { "+config+" }; }")
		}
	}
	hosts := evaltest.Decode(t, d, texts...)
	for i, r := range table.Rows() {
		t.Run(r.Service, func(t *testing.T) {
			on, off := hosts[2*i], hosts[2*i+1]
			require.Empty(t, on.Unknown)
			require.Empty(t, off.Unknown)
			want := r.Paths
			if r.Option != "" {
				want = []string{"/srv/table"}
			}
			var got []string
			for _, s := range on.Services.Or(nil) {
				if on, known := s.Enable.Get(); known && on && s.Name == strings.ReplaceAll(r.Service, "*", "one") {
					for _, p := range s.State.Or(nil) {
						got = append(got, p.Text)
					}
				}
			}
			for _, p := range want {
				require.Contains(t, got, p)
			}
			for _, s := range off.Services.Or(nil) {
				if r.Enable != "" {
					require.Equal(t, stateward.Known(false, s.Enable.Origin()), s.Enable)
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`[{"service": "x", "enable": "a.b", "paths": ["/a"], "source": "s"}]`))
	f.Add([]byte(`[{"service": "x-*", "enable": "a.*.enable", "option": "a.*.b.*.c", "below": "/b", "source": "s"}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		rows, err := table.Parse(text)
		if err != nil {
			return
		}
		d, err := table.New("state", rows)
		require.NoError(t, err)
		require.NotEmpty(t, d.Sections)
		v, err := dialect.Parse(`{"detected": true, "sections": {"services": {"__stateward": "unknown", "kind": "throw"}, "a": {"b": true, "x": {"enable": true}}}}`, 64)
		require.NoError(t, err)
		tree, err := dialect.NewTree(v)
		require.NoError(t, err)
		var h stateward.Host
		d.Decode(tree.Root(), &h)
	})
}

func TestDocumentedExample(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/state-table.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(doc), "```json\n")
	require.True(t, ok)
	example, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)
	rows, err := table.Parse([]byte(example))
	require.NoError(t, err)
	require.Len(t, rows, 3)

	fields := reflect.TypeFor[table.Row]()
	for i := range fields.NumField() {
		name, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
		toml, _, _ := strings.Cut(fields.Field(i).Tag.Get("toml"), ",")
		require.Equal(t, name, toml)
		require.Contains(t, string(doc), "`"+name+"`", "docs/state-table.md")
	}
}
