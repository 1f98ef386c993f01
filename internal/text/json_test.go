package text_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/text"
)

type inner struct {
	Name  string `json:"name"`
	Count *int   `json:"count,omitempty"`
}

type base struct {
	Host string `json:"host"`
}

// own reads itself: what is in it is not looked into.
type own struct{ any }

func (o *own) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &o.any) }

type file struct {
	base
	Version string           `json:"version"`
	Paths   []string         `json:"paths"`
	List    []inner          `json:"list"`
	Map     map[string]inner `json:"map"`
	One     *inner           `json:"one"`
	Own     own              `json:"own"`
	On      bool             `json:"on"`
}

func TestReadJSON(t *testing.T) {
	for _, tc := range []struct{ json, want, hint string }{
		{`{"host":"a","version":"1","paths":["x"],"list":[{"name":"a","count":1}],"map":{"any":{"name":"b"}},"one":{"name":"c"},"own":{"what":1},"on":true}`, "", ""},
		{"", "is empty", ""},
		{"{\n\"version\": \"1\",\n", "line 2: its JSON ends too early", "close every brace, bracket and quote"},
		{"{\n\"version\": \"1\"\n\"on\"", "line 3: is no JSON: invalid character '\"' after object key:value pair", ""},
		{"{\"on\": true}\n\n{}", "line 3: there is more behind its JSON", "write one object, and nothing behind its last brace"},
		{"[]", "is a list where an object is expected", ""},
		{"{\n\"version\": 1}", "line 2: version is a number where a text is expected", ""},
		{`{"paths": "x"}`, "line 1: paths is a text where a list is expected", ""},
		{`{"on": "x"}`, "line 1: on is a text where true or false is expected", ""},
		{`{"one": {"count": 1.5}}`, "line 1: one.count is 1.5 where a whole number is expected", ""},
		{`{"one": []}`, "line 1: one is a list where an object is expected", ""},
		{"{\n\n\"path\": []}", `line 3: "path" is no field`, `write "paths"`},
		{`{"hots": "a"}`, `line 1: "hots" is no field`, `write "host"`},
		{"{\"paths\": [\"{\"], \"own\": {\"x\": [1, {}]},\n\"list\": [{\"name\": \"a\"}, {\"nam\": \"b\"}]}", `line 2: "list.nam" is no field`, `write "name"`},
		{`{"map": {"nam": {"named": {}}}}`, `line 1: "map.nam.named" is no field`, `write "name"`},
		{`{"Host": "a"}`, `line 1: "Host" is no field`, `write "host"`},
		{"{\"one\": {\n\"NAME\": \"a\"}}", `line 2: "one.NAME" is no field`, `write "name"`},
		{"{\"host\": \"a\",\n\"on\": true,\n\"host\": \"b\"}", `line 3: "host" is there twice`, "leave one of them out"},
		{`{"list": [{"name": "a"}, {"name": "b", "name": "c"}]}`, `line 1: "list.name" is there twice`, "leave one of them out"},
		{`{"map": {"a": {}, "a": {}}}`, `line 1: "map.a" is there twice`, "leave one of them out"},
		{`{"own": {"x": {"y": 1, "y": 2}}}`, `line 1: "own.x.y" is there twice`, "leave one of them out"},
		{`{"map": {"a": {}, "A": {}}, "list": [{"name": "a"}, {"name": "b"}]}`, "", ""},
		{`{"one": {"elsewhere": {}}}`, `line 1: "one.elsewhere" is no field`, "there is name, count"},
	} {
		var f file
		err := text.ReadJSON([]byte(tc.json), &f)
		if tc.want == "" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, tc.want, tc.json)
		var e *text.JSONError
		require.True(t, errors.As(err, &e))
		require.Equal(t, tc.hint, e.Hint(), tc.json)
	}
}

func FuzzReadJSON(f *testing.F) {
	for _, s := range []string{`{"list":[{"nam":1}]}`, `{"map":{"a":{"b":{`, `[[[`, `{"one":null,"x":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var into file
		if err := text.ReadJSON(data, &into); err != nil {
			require.NotContains(t, err.Error(), "json: ")
			require.NotContains(t, err.Error(), "Go ")
		}
	})
}
