package dialect_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/nixbridge/dialect"
)

func TestParseRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		in, reason string
		offset     int64
	}{
		"nothing":                {"", "the text ends where a value should begin", 0},
		"a truncated set":        {`{"a":1`, "the text ends within an object", 6},
		"a truncated string":     {`["ab`, "the text ends within a string", 1},
		"trailing garbage":       {`{} x`, "there is something after the value", 3},
		"a trailing comma":       {`[1,]`, "no value begins with ']'", 3},
		"two equal keys":         {`{"a":1,"b":2,"a":3}`, `key "a" is there twice`, 0},
		"bytes that are no text": {"\"a\xffb\"", "byte 0xff is no UTF-8", 2},
		"half a surrogate pair":  {`"\ud800x"`, "half of a surrogate pair", 1},
		"a raw newline":          {"\"a\nb\"", "byte 0x0a within a text must be escaped", 2},
		"a leading zero":         {`01`, "malformed number", 0},
		"a huge integer":         {`9223372036854775808`, "integer does not fit into 64 bits", 0},
		"an infinite float":      {`inf`, "no value begins with 'i'", 0},
		"deep nesting":           {strings.Repeat("[", 1_000_000), "values are nested deeper than 16", 17},
		"a marker of no kind":    {`{"__stateward":"x"}`, `"x" is no marker`, 0},
		"an unknown's odd kind":  {`{"__stateward":"unknown","kind":"x"}`, `"x" is no kind of unknown value`, 0},
		"a path without path":    {`{"__stateward":"path"}`, `marker "path" has no text "path"`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := dialect.Parse(tc.in, 16)
			var se *dialect.SyntaxError
			require.ErrorAs(t, err, &se)
			require.Equal(t, tc.reason, se.Reason)
			require.Equal(t, tc.offset, se.Offset)
		})
	}
}

func TestParseSaysWhere(t *testing.T) {
	_, err := dialect.Parse(`{"a": {"b": [1, tru]}}`, 16)
	require.EqualError(t, err, "byte 16, at a.b.1: no value begins with 't'")
}

func TestWritingSortsAndEscapes(t *testing.T) {
	v, err := dialect.Parse(`{"b": [1.5, null, true, "\u00e9\ud834\udd1e\"\n\u0001"], "a": {"__stateward": "path", "path": "/x"}, "__stateward:outPath": {}}`, 16)
	require.NoError(t, err)
	require.Equal(t, `{"a":{"__stateward":"path","path":"/x"},"b":[1.5,null,true,"é𝄞\"\n\u0001"],"__stateward:outPath":{}}`, string(v.AppendJSON(nil)))
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{sample, `[]`, `{"a":[1,2.5e3,"\ud834\udd1e"]}`, `{"__stateward":"unknown","kind":"throw"}`, `"\u0000"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := dialect.Parse(s, 64)
		if err != nil {
			return
		}
		require.True(t, json.Valid([]byte(s)), "accepted what is no JSON: %q", s)
		once := v.AppendJSON(nil)
		require.True(t, utf8.Valid(once))
		again, err := dialect.Parse(string(once), 64)
		require.NoError(t, err)
		require.Equal(t, string(once), string(again.AppendJSON(nil)))
		v.EachUnknown(func(path []string, _ *dialect.Value) { v.Explain(path, "m", "f", 1) })
		if tr, err := dialect.NewTree(v); err == nil {
			tr.Detected()
			walk(tr.Root())
			tr.Unknowns()
		}
	})
}

// walk calls every reading method on every place.
func walk(n *dialect.Node) {
	n.Text()
	n.Scalar()
	n.Bool()
	n.BoolLike()
	n.Int()
	n.Strings()
	n.Why()
	n.Name()
	n.At("x", "y").Text()
	for _, e := range n.Attrs() {
		walk(e.Node)
	}
	for _, e := range n.List() {
		walk(e)
	}
}
