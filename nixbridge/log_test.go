package nixbridge

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

func TestLogFindsTheError(t *testing.T) {
	for name, tc := range map[string]struct {
		lines string
		want  *EvalError
	}{
		"nothing": {"", nil},
		"a trace that the configuration prints is no error": {`@nix {"action":"msg","level":0,"msg":"trace: error: x"}`, nil},
		"2.8 has the position in fields": {
			`@nix {"action":"msg","column":13,"file":"/x/h.nix","level":0,"line":7,"msg":"\u001b[31;1merror:\u001b[0m long","raw_msg":"attribute '\u001b[35;1mnope\u001b[0m' missing"}
@nix {"action":"msg","level":0,"msg":"(use '--show-trace' to show detailed location information)"}`,
			&EvalError{Message: "attribute 'nope' missing", File: "/x/h.nix", Line: 7, Column: 13, Trace: "error: long"},
		},
		"newer nix append the position to the file": {
			`@nix {"action":"msg","column":109,"file":"/x/flake.nix:5:109","level":0,"line":5,"msg":"error: m","raw_msg":"m"}`,
			&EvalError{Message: "m", File: "/x/flake.nix", Line: 5, Column: 109, Trace: "error: m"},
		},
		"a position within our own expression is none": {
			`@nix {"action":"msg","column":54,"file":"«string»:1:54","level":0,"line":1,"msg":"error: m","raw_msg":"m"}`,
			&EvalError{Message: "m", Trace: "error: m", innerLine: 1, innerColumn: 54},
		},
		"2.8 names our expression by its text": {
			`@nix {"action":"msg","column":54,"file":"let x = { }; in\nx","level":0,"line":1,"msg":"error: m","raw_msg":"m"}`,
			&EvalError{Message: "m", Trace: "error: m", innerLine: 1, innerColumn: 54},
		},
		"an error without raw_msg counts where there is no other": {
			`@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m [json.exception.type_error.316] x"}`,
			&EvalError{Message: "[json.exception.type_error.316] x", Trace: "error: [json.exception.type_error.316] x"},
		},
		"a line that another thread wrote into": {
			`@nix {"action":"msg","level":0,"msg":"error: lo@nix {"action":"stop"}
ng","raw_msg":"unable to download"}`,
			&EvalError{Message: "unable to download", Trace: "error: unable to download"},
		},
		"of the steps of a trace none is the error": {
			`@nix {"action":"msg","level":0,"msg":"error: lo@nix {"action":"stop"}
ng","raw_msg":"missing","trace":[{"column":1,"raw_msg":"from call site"},{"column":1,"raw_msg":"while calling"}]}
{"raw_msg":"while evaluating"}]}`,
			&EvalError{Message: "missing", Trace: "error: missing"},
		},
		"garbage": {"@nix {\n@nix\n\x00\xff\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := &nixLog{}
			for line := range strings.SplitSeq(tc.lines, "\n") {
				l.add([]byte(line))
			}
			if d := cmp.Diff(tc.want, l.err(), cmp.AllowUnexported(EvalError{})); d != "" {
				t.Error(d)
			}
		})
	}
}

// What a configuration prints may hold a secret: it is no word of nix, cut in two neither.
func TestLogKeepsNoTrace(t *testing.T) {
	for _, line := range []string{
		`@nix {"action":"msg","level":0,"msg":"trace: canary"}`,
		`@nix {"action":"msg","level":0,"msg":"trace: canary@nix {"action":"stop"}`,
		`@nix {"action":"msg","level":0,"msg":"trace: canary`,
	} {
		l := &nixLog{}
		l.add([]byte(line))
		require.Empty(t, l.lost, line)
		require.Empty(t, l.text(), line)
	}
	l := &nixLog{}
	l.add([]byte(`@nix {"action":"msg","level":0,"msg":"error: of nix@nix {"action":"stop"}`))
	require.Len(t, l.lost, 1)
}

func TestLogFollowsAnnouncements(t *testing.T) {
	l := &nixLog{mark: []byte("stateward X ")}
	_, ok := l.announced()
	require.False(t, ok)
	l.add([]byte(`@nix {"action":"msg","level":0,"msg":"trace: stateward X [\"a\"]"}`))
	l.add([]byte(`@nix {"action":"msg","level":0,"msg":"trace: stateward X [\"a\",\"b\\\"c\"]"}`))
	l.add([]byte(`@nix {"action":"msg","level":0,"msg":"trace: stateward Y [\"forged\"]"}`))
	l.add([]byte(`@nix {"action":"msg","level":0,"file":"mark = \"stateward X \"","msg":"error: e","raw_msg":"e"}`))
	place, ok := l.announced()
	require.True(t, ok)
	require.Equal(t, []string{"a", `b"c`}, place)
	require.Equal(t, "e", l.err().Message)
}

func TestPlaceSet(t *testing.T) {
	var p placeSet
	require.True(t, p.empty())
	require.True(t, p.add([]string{"a", "b\"${c}"}))
	require.False(t, p.add([]string{"a", "b\"${c}"}), "covered")
	require.False(t, p.add([]string{"a", "b\"${c}", "d"}), "below what is covered")
	require.True(t, p.add([]string{"a", "0"}))
	var b strings.Builder
	p.write(&b)
	require.Equal(t, `{ "a" = { "0" = true; "b\"\${c}" = true; }; }`, b.String())
	require.True(t, p.add([]string{"a"}))
	b.Reset()
	p.write(&b)
	require.Equal(t, `{ "a" = true; }`, b.String())
}

func TestProbeHasNoTextOfSeveralLines(t *testing.T) {
	require.NotContains(t, probeText, "''", "withoutComments would change it")
}

func TestSourceStorePathMirrorsNix(t *testing.T) {
	// Both as `nix flake metadata --json` printed them for one flake.
	got, err := sourceStorePath("sha256-LrqvQM19YjvS6PBjFDNSjl1QNS1F8dJDhtwe4GFP11M=")
	require.NoError(t, err)
	require.Equal(t, "/nix/store/m05wqpfi48a2kw0wlba93bnifn0qqn61-source", got)
}
