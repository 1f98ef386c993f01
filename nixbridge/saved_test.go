package nixbridge_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge"
	"github.com/stateward/stateward/nixbridge/dialect"
)

func write(t testing.TB, ev *nixbridge.Evaluation) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, ev.Write(&b))
	return b.String()
}

func TestSavedEvaluationReadsBackEqual(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		src := source(t, twoHostsFlake(t))
		var first string
		for range 2 {
			ev, err := e.Evaluate(t.Context(), src)
			require.NoError(t, err)
			text := write(t, ev)
			if first != "" {
				require.Equal(t, first, text, "the same evaluation gives the same bytes")
			}
			first = text
			again, err := nixbridge.ReadEvaluation(strings.NewReader(text))
			require.NoError(t, err)
			require.Equal(t, text, write(t, again))
			for i, h := range ev.Hosts {
				if h.Err != nil {
					require.EqualError(t, again.Hosts[i].Err, h.Err.Error())
					continue
				}
				require.Equal(t, unknowns(t, h), unknowns(t, again.Hosts[i]))
			}
		}
	})
}

func TestLoadDecodesEveryHost(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		e.Dialects[0].Decode = func(n *dialect.Node, h *stateward.Host) {
			var us []stateward.Unit
			for _, a := range n.At("test").Attrs() {
				us = append(us, stateward.Unit{Name: a.Name + "=" + a.Node.At("text").Text().Or("?")})
			}
			h.Units = stateward.Known(us, n.At("test").Origin())
		}
		src := source(t, "testdata/hosts.nix#throws")
		fromNix, err := nixbridge.Load(t.Context(), src, nixbridge.Options{Evaluator: e})
		require.NoError(t, err)
		require.Len(t, fromNix, 1)
		h := fromNix[0]
		require.Equal(t, stateward.StatusPartial, h.Status)
		require.Equal(t, []string{"test"}, h.Dialects)
		require.Len(t, h.Unknown, 4)
		units, _ := h.Units.Get()
		require.Equal(t, "d=sound", units[3].Name)

		ev, err := e.Evaluate(t.Context(), src)
		require.NoError(t, err)
		fromText, err := nixbridge.Load(t.Context(), source(t, "-"), nixbridge.Options{Evaluator: e, Stdin: strings.NewReader(write(t, ev))})
		require.NoError(t, err)
		if d := cmp.Diff(fromNix, fromText, cmp.Exporter(func(reflect.Type) bool { return true })); d != "" {
			t.Error(d)
		}

		failed, err := nixbridge.Load(t.Context(), source(t, "testdata/hosts.nix#nothing"), nixbridge.Options{Evaluator: e})
		require.NoError(t, err)
		require.Equal(t, stateward.StatusFailed, failed[0].Status)
		require.Equal(t, "the configuration is broken", failed[0].Unknown[0].Message)
	})
}

const minimal = `{"format":"stateward-evaluation","version":1,"nix":"2.8.0","source":".","hosts":[]}`

func TestSavedEvaluationIsRefused(t *testing.T) {
	host := func(s string) string { return strings.Replace(minimal, "[]", "["+s+"]", 1) }
	for name, tc := range map[string]struct{ text, reason, path string }{
		"empty":                   {"", "it is empty", ""},
		"truncated":               {minimal[:40], "the text ends within a string", ""},
		"trailing garbage":        {minimal + "x", "there is something after the value", ""},
		"another format":          {`{"format":"x","version":1}`, `it is not "stateward-evaluation"`, "format"},
		"no object":               {`[]`, "expected an attribute set, found a list", ""},
		"a newer version":         {strings.Replace(minimal, `"version":1`, `"version":2`, 1), "version 2 is not known", "version"},
		"a version in words":      {strings.Replace(minimal, `"version":1`, `"version":"1"`, 1), "expected an integer, found a string", "version"},
		"no UTF-8":                {strings.Replace(minimal, `"."`, "\".\xff\"", 1), "byte 0xff is no UTF-8", "source"},
		"no hosts":                {strings.Replace(minimal, `"hosts":[]`, `"hosts":{}`, 1), "expected a list, found an attribute set", "hosts"},
		"an empty list of hosts":  {minimal, "there is none", "hosts"},
		"a host that is a number": {host("1"), "expected an attribute set, found an integer", "hosts.0"},
		"a host without name":     {host(`{"source":".","status":"ok","tree":{}}`), "it is missing", "hosts.0.name"},
		"an unknown status":       {host(`{"name":"a","source":".","status":"fine","tree":{}}`), `"fine" is none of ok, partial, failed`, "hosts.0.status"},
		"a host without tree":     {host(`{"name":"a","source":".","status":"ok"}`), "expected an attribute set, found nothing", "hosts.0.tree"},
		"a failure without error": {host(`{"name":"a","source":".","status":"failed"}`), "expected an attribute set, found nothing", "hosts.0.error"},
		"a tree of another form":  {host(`{"name":"a","source":".","status":"ok","tree":{"nixos":{"detected":1}}}`), `output of a projection: "detected" is an integer`, "hosts.0.tree.nixos"},
		"one host twice":          {host(`{"name":"a","source":".","status":"ok","tree":{}},{"name":"a","source":".","status":"ok","tree":{}}`), `host "a" is there twice`, "hosts.1.name"},
		"an unknown marker":       {host(`{"name":"a","source":".","status":"ok","tree":{"nixos":{"__stateward":"x"}}}`), `"x" is no marker`, "hosts.0.tree.nixos"},
		"deep nesting":            {strings.Repeat(`{"a":`, 100_000), "values are nested deeper than 512", strings.Repeat("a.", 63) + "a"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := nixbridge.ReadEvaluation(strings.NewReader(tc.text))
			var fe *nixbridge.FormatError
			require.ErrorAs(t, err, &fe)
			require.Equal(t, tc.reason, fe.Reason)
			require.Equal(t, tc.path, fe.Path)
			require.NotEmpty(t, fe.Hint())
		})
	}
}

// Where a section of a projection is not in the file, nothing is known of it: it is not absent.
func TestSavedEvaluationThatLacksASectionIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "host.nix")
	require.NoError(t, os.WriteFile(file, []byte(`{ config = { fileSystems = { }; qgroget = { }; services = { }; stateward = { }; modules.storage.datasets = { }; }; }`), 0o600))
	e := &nixbridge.Evaluator{CacheDir: privateDir(t)}
	ev, err := e.Evaluate(t.Context(), source(t, file))
	require.NoError(t, err, "nix is needed: run `make deps`")
	text := write(t, ev)
	load := func(text string) ([]*stateward.Host, error) {
		return nixbridge.Load(t.Context(), source(t, "-"), nixbridge.Options{Stdin: strings.NewReader(text)})
	}
	hosts, err := load(text)
	require.NoError(t, err)
	require.Equal(t, []string{"homelab", "nixos", "qgroget", "stateward", "table"}, hosts[0].Dialects)

	for _, d := range nixbridge.BuiltinDialects() {
		sections := ev.Hosts[0].Tree(d.Name).Get("sections")
		var names []string
		for i := range sections.Len() {
			name, _ := sections.Index(i)
			names = append(names, name)
		}
		require.ElementsMatch(t, names, d.Sections, "what SectionNames finds is what the projection yields")
		for _, name := range names {
			t.Run(name, func(t *testing.T) {
				key := string(dialect.AppendString(nil, name))
				at := strings.Index(text, `"`+d.Name+`":{"detected"`) + len(d.Name) + 2
				cut := text[:at] + strings.Replace(text[at:], key, `"x`+name+`"`, 1)
				_, err := load(cut)
				var fe *nixbridge.FormatError
				require.ErrorAs(t, err, &fe)
				require.EqualError(t, err, fmt.Sprintf("standard input does not hold all that is asked of it: of host host section %q of dialect %q was not read", name, d.Name))
				require.Contains(t, fe.Hint(), "evaluate again")

				// Who reads the file without an evaluator is told by the host.
				again, err := nixbridge.ReadEvaluation(strings.NewReader(cut))
				require.NoError(t, err)
				h, err := again.Hosts[0].Decode()
				require.NoError(t, err)
				require.Equal(t, []stateward.Unknown{{Subject: name, Kind: stateward.UnknownHidden, Message: "it was not evaluated"}}, h.Unknown)
			})
		}
	}
	_, err = load(strings.Replace(text, `"qgroget":{"detected"`, `"another":{"detected"`, 1))
	require.ErrorContains(t, err, `dialect "qgroget" was not read`)
}

func TestFaultsFarDownAreNamedShortly(t *testing.T) {
	_, err := nixbridge.ReadEvaluation(strings.NewReader(strings.Repeat("[", 1000)))
	require.ErrorContains(t, err, ", at 0.0.0.0.0.0.0.0.[…].0.0.0.0: values are nested deeper than 512")
}

func TestSourcesThatCannotBeReadSayHowToMendIt(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "d.json"), 0o700))
	for name, want := range map[string]string{"missing.json": "is not there", "missing.nix": "is not there", "d.json": "is a folder"} {
		arg := filepath.Join(dir, name)
		_, err := nixbridge.Load(t.Context(), source(t, arg), nixbridge.Options{Evaluator: &nixbridge.Evaluator{CacheDir: privateDir(t)}})
		var se *nixbridge.SourceError
		require.ErrorAs(t, err, &se)
		require.EqualError(t, err, fmt.Sprintf("source %q %s", arg, want))
		require.NotEmpty(t, se.Hint())
	}
	for _, err := range []nixbridge.Hinter{&nixbridge.NoHostsError{}, &nixbridge.StackError{}, &nixbridge.CrashError{}} {
		require.NotEmpty(t, err.Hint())
	}
}

func TestSavedEvaluationNamesItsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.json")
	require.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	_, err := nixbridge.Load(t.Context(), source(t, file), nixbridge.Options{})
	require.ErrorContains(t, err, file+" is no saved evaluation, byte 1: ")
	_, err = nixbridge.Load(t.Context(), source(t, "-"), nixbridge.Options{})
	require.EqualError(t, err, "standard input is no saved evaluation, byte 0: it is empty")
	_, err = nixbridge.Load(t.Context(), source(t, file+".json"), nixbridge.Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestDocumentedExampleIsRead(t *testing.T) {
	doc, err := os.ReadFile("../docs/evaluation-format.md")
	require.NoError(t, err)
	_, example, _ := strings.Cut(string(doc), "```json\n")
	example, _, _ = strings.Cut(example, "```")
	ev, err := nixbridge.ReadEvaluation(strings.NewReader(example))
	require.NoError(t, err)
	require.Len(t, ev.Hosts, 2)
	require.EqualError(t, ev.Hosts[0].Err, "attribute 'nope' missing (hosts/attic.nix:3:14)")
}

func TestSelectKeepsNamedHosts(t *testing.T) {
	text := strings.Replace(minimal, "[]", `[{"name":"b","source":".","status":"ok","tree":{}},{"name":"a","source":".","status":"failed","error":{"message":"m","file":"f","line":2,"hint":"h"}}]`, 1)
	ev, err := nixbridge.ReadEvaluation(strings.NewReader(text))
	require.NoError(t, err)
	require.Equal(t, "a", ev.Hosts[0].Name, "hosts are sorted")
	require.EqualError(t, ev.Hosts[0].Err, "m (f:2)")
	require.Error(t, ev.Select([]string{"c"}))
	require.NoError(t, ev.Select([]string{"b"}))
	require.Len(t, ev.Hosts, 1)
}

// endlessText is a saved evaluation whose one host never ends.
type endlessText struct{ begun bool }

func (e *endlessText) Read(p []byte) (int, error) {
	if !e.begun {
		e.begun = true
		return copy(p, `{"format":"stateward-evaluation","x":"`), nil
	}
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestSizeIsBounded(t *testing.T) {
	_, err := nixbridge.ReadEvaluationUpTo(&endlessText{}, 1<<20)
	var fe *nixbridge.FormatError
	require.ErrorAs(t, err, &fe)
	require.Equal(t, "it is larger than 1048576 bytes", fe.Reason)
}

func TestHundredMegabytesAreReadInTime(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(strings.TrimSuffix(minimal, "]}"))
	b.WriteString(`{"name":"a","source":".","status":"ok","tree":{"test":{"detected":true,"sections":{"tree":[`)
	for b.Len() < 100<<20 {
		b.WriteString(`{"directory":"/var/lib/something","mode":"0700","user":"somebody","list":[1,2,3,true,null]},`)
	}
	b.WriteString(`1]}}}}]}`)
	began := time.Now()
	ev, err := nixbridge.ReadEvaluation(&b)
	require.NoError(t, err)
	require.Less(t, time.Since(began), time.Minute)
	require.Greater(t, ev.Hosts[0].Tree("test").Get("sections").Get("tree").Len(), 1_000_000)
}

func FuzzReadEvaluation(f *testing.F) {
	f.Add(minimal)
	f.Add(strings.Replace(minimal, "[]", `[{"name":"a","source":".","status":"partial","tree":{"nixos":{"detected":true,"sections":{"systemd.services":{"a":{"serviceConfig":{"StateDirectory":["x",1]}},"b":{"__stateward":"unknown","kind":"throw"}},
		"environment.persistence":{"/persist":{"directories":["/a",{"directory":"/b"}]}}},"where":{"systemd.services":{"at":[{"file":"a.nix","line":2}]}}},"qgroget":{"detected":true,"sections":{}}}}]`, 1))
	f.Add(strings.Replace(minimal, "[]", `[{"name":"a","source":".","status":"failed","error":{"message":"m"}}]`, 1))
	f.Fuzz(func(t *testing.T, text string) {
		hosts, err := nixbridge.Load(t.Context(), nixbridge.Source{Kind: nixbridge.SavedSource, Ref: "-"}, nixbridge.Options{Stdin: strings.NewReader(text)})
		if err != nil {
			return
		}
		for _, h := range hosts {
			require.NotNil(t, h)
		}
		ev, err := nixbridge.ReadEvaluation(strings.NewReader(text))
		require.NoError(t, err)
		require.NoError(t, ev.Write(io.Discard))
	})
}
