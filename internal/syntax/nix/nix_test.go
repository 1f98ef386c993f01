package nix_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward/internal/nixtest"
	"github.com/stateward/stateward/internal/syntax/nix"
)

func TestWrite(t *testing.T) {
	for _, tc := range []struct {
		name  string
		value any
		depth int
		want  string
	}{
		{"string", `a"b\c`, 0, `"a\"b\\c"`},
		{"dollar", "$a ${b} $$", 0, `"\$a \${b} \$\$"`},
		{"white space", "a\nb\tc\rd", 0, `"a\nb\tc\rd"`},
		{"quotes of indented strings", "''a'' ''${", 0, `"''a'' ''\${"`},
		{"true", true, 0, "true"},
		{"number", 42, 0, "42"},
		{"negative number", -42, 0, "-42"},
		{"smallest number", math.MinInt, 0, "(-9223372036854775807 - 1)"},
		{"expression", nix.Raw("lib.mkAfter x"), 0, "lib.mkAfter x"},
		{"empty list", nix.List{}, 0, "[]"},
		{"list", nix.List{"a", 1, nix.List{}}, 0, "[\n  \"a\"\n  1\n  []\n]"},
		{"negative number in a list", nix.List{-1}, 0, "[\n  (-1)\n]"},
		{"expression in a list", nix.List{nix.Raw("f x"), nix.Raw("x.y-z"), nix.Raw("x.or"), nix.Raw("[]"), nix.Raw("{}")}, 0, "[\n  (f x)\n  x.y-z\n  (x.or)\n  []\n  {}\n]"},
		{"list further in", nix.List{"a"}, 2, "[\n      \"a\"\n    ]"},
		{"text", nix.Text("a 'b'\n  ${c}\n\nd\n"), 1, "''\n    a 'b''\\'\n      ''${c}\n\n    d\n  ''"},
		{"block", nix.Block{{Name: "a.b", Value: nix.Block{{Name: "c", Value: true}}}}, 1, "{\n    a.b = {\n      c = true;\n    };\n  }"},
		{"empty block", nix.Block{}, 0, "{}"},
		{"empty set", nix.Set{}, 0, "{}"},
		{"set of one", nix.Set{{Name: "a b", Value: "x"}}, 0, `{"a b" = "x";}`},
		{"set of one within one", nix.Set{{Name: "a", Value: nix.Set{{Name: "b", Value: nix.List{}}}}}, 0, "{a = {b = [];};}"},
		{"set of one text", nix.Set{{Name: "a", Value: nix.Text("b\n")}}, 0, "{\n  a = ''\n    b\n  '';\n}"},
		{"smallest number of a set", nix.Set{{Name: "a", Value: math.MinInt}}, 0, "{a = -9223372036854775807 - 1;}"},
		{"set", nix.Set{{Name: "b", Value: 1}, {Name: "a", Value: "x"}}, 0, "{\n  b = 1;\n  a = \"x\";\n}"},
		{"set in a list", nix.List{nix.Set{{Name: "a", Value: nix.List{1}}}}, 0, "[\n  {\n    a = [\n      1\n    ];\n  }\n]"},
		{"names", nix.Set{{Name: "a-b'c_1", Value: 1}, {Name: "1a", Value: 1}, {Name: "a.b", Value: 1}, {Name: "", Value: 1}, {Name: "or", Value: 1}, {Name: "ü", Value: 1}}, 0,
			"{\n  a-b'c_1 = 1;\n  \"1a\" = 1;\n  \"a.b\" = 1;\n  \"\" = 1;\n  \"or\" = 1;\n  \"ü\" = 1;\n}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := nix.Write(tc.value, tc.depth)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
	for _, tc := range []struct {
		name  string
		value any
		want  string
	}{
		{"nothing", nil, "cannot write a <nil> as a nix expression"},
		{"float", nix.List{1.5}, "cannot write a float64 as a nix expression"},
		{"map", map[string]int{}, "cannot write a map[string]int as a nix expression"},
		{"NUL byte", "a\x00", `text "a\x00" holds a NUL byte, which no nix string can`},
		{"NUL byte in a name", nix.Set{{Name: "a\x00", Value: 1}}, `text "a\x00" holds a NUL byte, which no nix string can`},
	} {
		t.Run("no "+tc.name, func(t *testing.T) {
			got, err := nix.Write(tc.value, 0)
			require.EqualError(t, err, tc.want)
			require.Empty(t, got)
		})
	}
}

func TestHead(t *testing.T) {
	require.Equal(t, "{...}: ", nix.Head())
	require.Equal(t, "{lib, ...}: ", nix.Head("lib"))
	require.Equal(t, "{\n  config,\n  pkgs,\n  ...\n}: ", nix.Head("config", "pkgs"))
}

// What is written keeps to the rules of alejandra's layout that can be seen without it: what is empty is closed at once, a line of its own for
// each of several attributes and for each element, two blanks for each level, none at the end of a line.
func TestLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value, _ := expression(t, 4)
		text, err := nix.Write(value, 0)
		require.NoError(t, err)
		depth := 0
		for line := range strings.Lines(text) {
			// Texts stand on one line, and may hold whatever looks like layout.
			line = literal.ReplaceAllString(strings.TrimSuffix(line, "\n"), "s")
			within := depth
			if strings.HasPrefix(strings.TrimLeft(line, " "), "}") || strings.HasPrefix(strings.TrimLeft(line, " "), "]") {
				within--
			}
			require.Equal(t, strings.Repeat("  ", within), line[:len(line)-len(strings.TrimLeft(line, " "))], "indentation of %q in\n%s", line, text)
			require.Equal(t, strings.TrimRight(line, " "), line)
			require.LessOrEqual(t, strings.Count(line, "; "), 0, "%q holds two attributes", line)
			for _, wide := range []string{"{ ", " }", "[ ", " ]"} {
				require.NotContains(t, strings.TrimLeft(line, " "), wide)
			}
			depth += strings.Count(line, "{") + strings.Count(line, "[") - strings.Count(line, "}") - strings.Count(line, "]")
		}
		require.Zero(t, depth)
	})
}

var literal = regexp.MustCompile(`"(\\.|[^"\\])*"`)

// bytesOf draws what a Nix string can hold: any bytes but NUL, with much of what is special.
var bytesOf = rapid.Custom(func(t *rapid.T) string {
	parts := rapid.SliceOf(rapid.OneOf(
		rapid.SampledFrom([]string{"$", "${", "''", "\"", "\\", "\n", "\r", "\t", "\r\n", "$$", "'", "#", "/*", "\\n", "x", "ü", "\xff"}),
		rapid.String(),
	)).Draw(t, "parts")
	return strings.ReplaceAll(strings.Join(parts, ""), "\x00", "")
})

// A literal means the bytes it was written from, on every nix.
func TestStringAsNix(t *testing.T) {
	var texts []string
	list := nix.List{}
	for i := range 1000 {
		s := bytesOf.Example(i)
		texts = append(texts, s)
		list = append(list, nix.Raw("builtins.hashString \"sha256\" "+nix.String(s)))
	}
	for c := 1; c < 256; c++ {
		s := "$" + string([]byte{byte(c)}) + "{"
		texts = append(texts, s)
		list = append(list, nix.Raw("builtins.hashString \"sha256\" "+nix.String(s)))
	}
	expr, err := nix.Write(list, 0)
	require.NoError(t, err)
	for _, n := range nixtest.All(t) {
		t.Run(n.Name, func(t *testing.T) {
			var got []string
			n.JSON(t, expr, &got)
			require.Len(t, got, len(texts))
			for i, s := range texts {
				sum := sha256.Sum256([]byte(s))
				require.Equal(t, hex.EncodeToString(sum[:]), got[i], "%q", s)
			}
		})
	}
}

// A text of several lines means the bytes it was written from, on every nix, wherever it stands.
func TestTextAsNix(t *testing.T) {
	texts := []string{"a\n  b\n\n\tc\n", "''\n", "'\n", "'${x}\n", "''${x}''\n", "$${x}\n", "$$${x}'\n", "'\t'\r\n", "''\\n\n", "\\\n", "  a\n  b\n", "a\n \nb\n", "a", "", "\n", "\n\na\n"}
	for i := range 600 {
		texts = append(texts, bytesOf.Example(i)+"\n", "x\n"+strings.ReplaceAll(bytesOf.Example(i), "x", "\n  ")+"\n")
	}
	list := nix.List{}
	for _, s := range texts {
		text, err := nix.Write(nix.Text(s), 3)
		require.NoError(t, err)
		list = append(list, nix.Raw("builtins.hashString \"sha256\" "+text))
	}
	expr, err := nix.Write(list, 0)
	require.NoError(t, err)
	for _, n := range nixtest.All(t) {
		t.Run(n.Name, func(t *testing.T) {
			var got []string
			n.JSON(t, expr, &got)
			require.Len(t, got, len(texts))
			for i, s := range texts {
				sum := sha256.Sum256([]byte(s))
				require.Equal(t, hex.EncodeToString(sum[:]), got[i], "%q as %s", s, list[i])
			}
		})
	}
}

// expression draws a value and what it is as JSON.
func expression(t *rapid.T, depth int) (value, asJSON any) {
	text := rapid.Map(bytesOf, func(s string) string { return strings.ToValidUTF8(s, "") })
	most := 5
	if depth == 0 {
		most = 3
	}
	switch rapid.IntRange(0, most).Draw(t, "kind") {
	case 0, 1:
		s := text.Draw(t, "text")
		return s, s
	case 2:
		b := rapid.Bool().Draw(t, "bool")
		return b, b
	case 3:
		n := rapid.OneOf(rapid.IntRange(-9, 9), rapid.SampledFrom([]int{math.MinInt32, math.MaxInt32, -1 << 52, 1 << 52})).Draw(t, "number")
		return n, float64(n)
	case 4:
		value, asJSON := nix.List{}, []any{}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			v, j := expression(t, depth-1)
			value, asJSON = append(value, v), append(asJSON, j)
		}
		return value, asJSON
	default:
		value, asJSON := nix.Set{}, map[string]any{}
		names := rapid.OneOf(rapid.SampledFrom([]string{"or", "if", "inherit", "a", "a'", "1", "a-b", "rec", "__curPos", "true", "null"}), text).
			Filter(func(s string) bool { return s != "outPath" && s != "__toString" })
		for _, name := range rapid.SliceOfNDistinct(names, 0, 4, rapid.ID).Draw(t, "names") {
			v, j := expression(t, depth-1)
			value, asJSON[name] = append(value, nix.Attr{Name: name, Value: v}), j
		}
		return value, asJSON
	}
}

// What is written evaluates to what was given, on every nix.
func TestWriteAsNix(t *testing.T) {
	gen := rapid.Custom(func(t *rapid.T) [2]any {
		v, j := expression(t, 3)
		return [2]any{v, j}
	})
	list, want := nix.List{math.MinInt + 1, math.MaxInt}, []any{float64(math.MinInt + 1), float64(math.MaxInt)}
	for i := range 500 {
		pair := gen.Example(i)
		list, want = append(list, pair[0]), append(want, pair[1])
	}
	expr, err := nix.Write(list, 0)
	require.NoError(t, err)
	for _, n := range nixtest.All(t) {
		t.Run(n.Name, func(t *testing.T) {
			var got []any
			n.JSON(t, expr, &got)
			require.Empty(t, cmp.Diff(want, got))
			var smallest string
			s, err := nix.Write(math.MinInt, 0)
			require.NoError(t, err)
			n.JSON(t, "toString "+s, &smallest)
			require.Equal(t, fmt.Sprint(math.MinInt), smallest)
		})
	}
}

func FuzzString(f *testing.F) {
	f.Add(`${a}''"\`)
	f.Add("\r\n\x00\xff$")
	f.Fuzz(func(t *testing.T, s string) {
		got := nix.String(s)
		require.True(t, strings.HasPrefix(got, `"`) && strings.HasSuffix(got, `"`))
		require.NotContains(t, got, "\n")
		require.Equal(t, utf8.ValidString(s), utf8.ValidString(got))
		require.Equal(t, s, unescape(t, got[1:len(got)-1]))
	})
}

// unescape undoes what nix's lexer does with escapes, and refuses what ends or opens something.
func unescape(t *testing.T, s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			require.NotContains(t, `"$`, s[i:i+1], "nothing special stands bare")
			b.WriteByte(s[i])
			continue
		}
		i++
		b.WriteByte(strings.NewReplacer("n", "\n", "r", "\r", "t", "\t").Replace(s[i : i+1])[0])
	}
	return b.String()
}
