package nixbridge

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// FuzzLog feeds the reader of internal-json whatever a nix, git or a library may print.
func FuzzLog(f *testing.F) {
	for _, s := range []string{
		"", "@nix {\n@nix\n\x00\xff", "warning: plain\n\x1b[31mred\x1b[0m",
		`@nix {"action":"msg","level":0,"msg":"trace: M [\"a\",\"b\"]"}`,
		`@nix {"action":"msg","column":13,"file":"/x/h.nix:7:13","level":0,"line":7,"msg":"\u001b[31;1merror:\u001b[0m long","raw_msg":"attribute 'nope' missing"}`,
		"@nix {\"action\":\"msg\",\"level\":0,\"msg\":\"error: lo@nix {\"action\":\"stop\"}\nng\",\"raw_msg\":\"missing\",\"trace\":[{\"raw_msg\":\"from call site\"}]}",
		`@nix {"action":"msg","level":-1,"file":null,"line":99999999999999999999,"raw_msg":7}`,
		`@nix {"action":"msg","level":0,"msg":"error: x","file":":1:1","line":null}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l := &nixLog{mark: []byte("M "), full: true}
		for line := range strings.SplitSeq(text, "\n") {
			l.add([]byte(line))
		}
		if len(l.errs) > 4 || len(l.plain) > 20 {
			t.Fatal("it grows without bound")
		}
		_, _ = l.announced()
		if e := l.err(); e != nil && (e.Line < 0 && !strings.Contains(text, "-") || strings.ContainsRune(e.File, '\n')) {
			t.Fatalf("%+v", e)
		}
		_ = l.text()
	})
}

// Two threads of nix write into each other's lines wherever a pipe is full: the error is found, or none is, but never another one.
func TestInterleavedLinesGiveNoOtherError(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-z'"\\{}:,é ]{1,20}`)
		message := strings.TrimSpace("m" + word.Draw(t, "message"))
		steps := rapid.SliceOfN(word, 0, 4).Draw(t, "steps")
		type step struct {
			Column int    `json:"column"`
			Raw    string `json:"raw_msg"`
		}
		var trace []step
		for _, s := range steps {
			trace = append(trace, step{1, "while " + s})
		}
		line := func(v any) string {
			var b strings.Builder
			e := json.NewEncoder(&b)
			e.SetEscapeHTML(false)
			_ = e.Encode(v)
			return "@nix " + strings.TrimSpace(b.String())
		}
		fault := line(struct {
			Action string `json:"action"`
			Level  int    `json:"level"`
			Msg    string `json:"msg"`
			Raw    string `json:"raw_msg"`
			Trace  []step `json:"trace,omitempty"`
		}{"msg", 0, "error: " + message, message, trace})
		other := line(map[string]any{"action": rapid.SampledFrom([]string{"start", "stop", "result"}).Draw(t, "action"), "id": 7, "text": "copying " + word.Draw(t, "text")})
		at := rapid.IntRange(0, len(fault)).Draw(t, "at")
		l := &nixLog{}
		for s := range strings.SplitSeq(fault[:at]+other+"\n"+fault[at:], "\n") {
			l.add([]byte(s))
		}
		e := l.err()
		i := strings.Index(fault, `,"raw_msg":`)
		switch {
		case e != nil && e.Message != message:
			t.Fatalf("found %q instead of %q in\n%s", e.Message, message, fault[:at]+other+"\n"+fault[at:])
		case e == nil && at > 5 && at <= i:
			t.Fatalf("%q is not found in\n%s", message, fault[:at]+other+"\n"+fault[at:])
		case e == nil && at > 5 && len(l.lost) == 0 && len(l.plain) == 0:
			t.Fatalf("nothing is left of\n%s", fault[:at]+other+"\n"+fault[at:])
		}
	})
}
