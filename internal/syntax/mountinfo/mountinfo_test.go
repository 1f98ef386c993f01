package mountinfo

import "testing"

func TestUnescape(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "/srv/a": "/srv/a", `/srv/a\040b`: "/srv/a b", `\011\012\134`: "\t\n\\", `\040`: " ",
		`/a\04`: `/a\04`, `/a\999`: `/a\999`, `/a\`: `/a\`, `/a\134040`: `/a\040`, `\303\244`: "ä", `\777`: `\777`,
	} {
		if got := Unescape(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
