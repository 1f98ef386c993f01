package report

import "strings"

// block is a paragraph, a text of code or a list of the documentation of a check.
type block struct {
	Code  string
	Spans []span
	Items [][]span
}

// span is a piece of a paragraph; Kind is "", "code" or "strong".
type span struct{ Kind, Text string }

// blocks reads the Markdown that the documentation of checks is written in: paragraphs, fenced code, lists of one level, code and
// strong words. What it does not know it shows as it is written.
func blocks(doc string) []block {
	var out []block
	var lines []string
	flush := func() {
		if len(lines) > 0 {
			out = append(out, block{Spans: spans(strings.Join(lines, " "))})
		}
		lines = nil
	}
	var code []string
	fenced := false
	for line := range strings.SplitSeq(doc, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			if fenced {
				out = append(out, block{Code: strings.Join(code, "\n")})
			}
			flush()
			fenced, code = !fenced, nil
		case fenced:
			code = append(code, line)
		case trimmed == "":
			flush()
		case strings.HasPrefix(line, "- "):
			flush()
			if n := len(out); n == 0 || out[n-1].Items == nil {
				out = append(out, block{})
			}
			last := &out[len(out)-1]
			last.Items = append(last.Items, spans(line[2:]))
		case strings.HasPrefix(line, "  ") && len(lines) == 0 && len(out) > 0 && out[len(out)-1].Items != nil:
			items := out[len(out)-1].Items
			items[len(items)-1] = append(items[len(items)-1], spans(" "+trimmed)...)
		default:
			lines = append(lines, trimmed)
		}
	}
	flush()
	if fenced {
		out = append(out, block{Code: strings.Join(code, "\n")})
	}
	return out
}

// spans splits a paragraph at its marks.
func spans(s string) []span {
	var out []span
	for i, part := range strings.Split(s, "`") {
		if i%2 == 1 {
			out = append(out, span{"code", part})
			continue
		}
		for k, piece := range strings.Split(part, "**") {
			if piece != "" {
				out = append(out, span{map[bool]string{true: "strong"}[k%2 == 1], piece})
			}
		}
	}
	return out
}
