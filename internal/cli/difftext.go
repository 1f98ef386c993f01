package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// changeLine is one or several changes in one line: the tiers of a place are told together.
type changeLine struct {
	aggregate.Change
	text string
}

// effectWords are the headings of the changes of each effect.
var effectWords = map[aggregate.Effect]string{
	aggregate.Worse: "worse", aggregate.NotKnown: "not known any more", aggregate.Changed: "changed", aggregate.NowKnown: "known now", aggregate.Better: "better",
}

// changeLines are the changes of one effect, in order.
func changeLines(changes []aggregate.Change, effect aggregate.Effect) []changeLine {
	var out []changeLine
	at := map[string]int{}
	tiers := map[int][]aggregate.Change{}
	for _, c := range changes {
		if c.Effect != effect {
			continue
		}
		if c.Kind == aggregate.AboutTier && c.OldTier != nil && c.NewTier != nil && c.Old == string(c.OldTier.State) && c.New == string(c.NewTier.State) {
			key := fmt.Sprintf("%q %q %q %q %v", c.Service, c.Path, c.Old, c.New, c.Loses)
			if i, ok := at[key]; ok {
				tiers[i] = append(tiers[i], c)
				out[i].text = tierText(tiers[i])
				continue
			}
			at[key] = len(out)
			tiers[len(out)] = []aggregate.Change{c}
		}
		text := c.Message
		if c.Kind == aggregate.AboutFinding {
			text = c.Subject + " " + text
		}
		out = append(out, changeLine{c, text})
	}
	return out
}

// tierText tells of several tiers of one place.
func tierText(list []aggregate.Change) string {
	var what, old, new []string
	add := func(to *[]string, s string) {
		if s != "" && !slices.Contains(*to, s) {
			*to = append(*to, s)
		}
	}
	for _, c := range list {
		what = append(what, aggregate.Survives(c.Tier))
		if c.Old != string(stateward.SurvivalNo) {
			add(&old, c.OldTier.By)
		}
		by := c.NewTier.By
		if c.NewTier.RPO != "" {
			by += ", at most " + c.NewTier.RPO + " old"
		}
		add(&new, by)
	}
	c := list[0]
	tiers, because := strings.Join(what, ", nor ")+" any more", ""
	if len(new) > 0 {
		because = " (" + strings.Join(new, "; ") + ")"
	}
	switch c.Effect {
	case aggregate.Worse:
		text := c.Path + " does not survive " + tiers + because
		if len(old) > 0 {
			text += "; until now by " + strings.Join(old, "; ")
		}
		return text
	case aggregate.NotKnown:
		text := "whether " + c.Path + " survives " + strings.Join(what, ", ") + " is not known any more" + because
		if len(old) > 0 {
			text += "; until now by " + strings.Join(old, "; ")
		}
		return text
	case aggregate.NowKnown:
		return "it is known now that " + c.Path + pickWord(c.New == string(stateward.SurvivalNo), " does not survive ", " survives ") + strings.Join(what, ", ") + because
	}
	return c.Path + " survives " + strings.Join(what, ", ") + " now" + because
}

func pickWord(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

// diffCounts are the numbers of a host's changes, the gravest first: "2 worse, 1 better".
func diffCounts(h aggregate.HostDiff) string {
	var parts []string
	for _, e := range aggregate.Effects() {
		if n := len(changeLines(h.Changes, e)); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, effectWords[e]))
		}
	}
	return strings.Join(parts, ", ")
}

// unknownWords say why nothing is said of a host.
func unknownWords(h aggregate.HostDiff) string {
	one := func(problem string) string { return firstLine(problem) }
	switch {
	case h.OldProblem != "" && h.NewProblem != "":
		return "it can be evaluated on neither side: " + one(h.NewProblem)
	case h.NewProblem != "":
		return "it cannot be evaluated any more: " + one(h.NewProblem)
	}
	return "it could not be evaluated before, so there is nothing to compare with: " + one(h.OldProblem)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// worstFirst are the hosts in the order in which they are told.
func worstFirst(hosts []aggregate.HostDiff) []aggregate.HostDiff {
	rank := func(h aggregate.HostDiff) int {
		switch {
		case h.State == aggregate.HostUnknown:
			return 1
		case len(h.Loses()) > 0:
			return 0
		case len(h.Changes) == 0:
			return 9
		}
		return 2 + slices.Index(aggregate.Effects(), h.Changes[0].Effect)
	}
	return slices.SortedStableFunc(slices.Values(hosts), func(a, b aggregate.HostDiff) int { return cmp.Compare(rank(a), rank(b)) })
}

// verdictOf is the whole in one line.
func verdictOf(out DiffOutput) string {
	loses, worse, unknown, changed := 0, 0, 0, 0
	for _, h := range out.Hosts {
		// That nothing protects it was known, and is not now: no loss, and nothing to look at.
		worsens := func(c aggregate.Change) bool {
			return (c.Effect == aggregate.Worse || c.Effect == aggregate.NotKnown) && c.Severity > stateward.SeverityInfo
		}
		switch {
		case h.State == aggregate.HostUnknown:
			unknown++
		case len(h.Loses()) > 0:
			loses++
		case slices.ContainsFunc(h.Changes, worsens):
			worse++
		case len(h.Changes) > 0:
			changed++
		}
	}
	var parts []string
	add := func(n int, text string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", count(n, "host"), text))
		}
	}
	add(loses, pickWord(loses == 1, "loses", "lose")+" data, or what protects it")
	add(unknown, "unknown")
	add(worse, pickWord(worse == 1, "gets", "get")+" worse")
	add(changed, "changed")
	if len(parts) == 0 {
		return "nothing changes what survives"
	}
	return strings.Join(parts, ", ")
}

// diffText is the report for people.
func diffText(out DiffOutput) string {
	var b strings.Builder
	for _, h := range worstFirst(out.Hosts) {
		switch {
		case h.State == aggregate.HostUnknown:
			fmt.Fprintf(&b, "%s unknown\n  %s\n\n", inLine(h.Name), inLine(unknownWords(h)))
			continue
		case len(h.Changes) == 0:
			continue
		}
		fmt.Fprintf(&b, "%s\n", inLine(h.Name))
		for _, e := range aggregate.Effects() {
			lines := changeLines(h.Changes, e)
			if len(lines) == 0 {
				continue
			}
			fmt.Fprintf(&b, "  %s:\n", effectWords[e])
			for _, l := range lines {
				mark := map[bool]string{true: "!", false: "-"}[l.Loses]
				service := ""
				if l.Service != "" {
					service = l.Service + ": "
				}
				fmt.Fprintf(&b, "    %s %s\n", mark, inLine(service+l.text))
				if l.Hint != "" && e != aggregate.Better && e != aggregate.NowKnown {
					fmt.Fprintf(&b, "      hint: %s\n", inLine(l.Hint))
				}
			}
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "from %s to %s: %s\n", inLine(out.Old.Source), inLine(out.New.Source), verdictOf(out))
	same := 0
	for _, h := range out.Hosts {
		if h.State == aggregate.HostSame {
			same++
		}
	}
	if same > 0 && same < len(out.Hosts) {
		fmt.Fprintf(&b, "%s as before\n", count(same, "host"))
	}
	for _, s := range []DiffSource{out.Old, out.New} {
		if text := evaluatedWith(s.EvaluatedWith); text != "" {
			fmt.Fprintf(&b, "%s %s\n", inLine(s.Source), inLine(text))
		}
	}
	return b.String()
}

// markdownEscapes keep a text from being read as Markdown by GitHub, or as a mention of somebody or of an issue.
var markdownEscapes = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "{", `\{`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "|", `\|`, "~", `\~`,
	"@", "@<!-- -->", "#", "#<!-- -->", "://", ":<!-- -->//", "www.", "www<!-- -->.", "$", "<span>$</span>")

func inMarkdown(s string) string { return markdownEscapes.Replace(inLine(s)) }

// openLines is how many changes of a host are shown before the rest is folded.
const openLines = 10

// markdownLimit is how much is written: GitHub takes comments of 65536 characters.
const markdownLimit = 60000

// diffMarkdown is the report as the comment of a pull request.
func diffMarkdown(out DiffOutput) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**stateward**: %s.\n", verdictOf(out))
	left := 0
	for _, h := range worstFirst(out.Hosts) {
		if h.State == aggregate.HostSame {
			continue
		}
		part := hostMarkdown(h)
		if b.Len()+len(part) > markdownLimit {
			left++
			continue
		}
		b.WriteString(part)
	}
	if left > 0 {
		fmt.Fprintf(&b, "\n%s left out, as the comment would be too long: `stateward diff` tells of all.\n", count(left, "host"))
	}
	for _, s := range []DiffSource{out.Old, out.New} {
		if text := evaluatedWith(s.EvaluatedWith); text != "" {
			fmt.Fprintf(&b, "\n%s %s\n", inMarkdown(s.Source), inMarkdown(text))
		}
	}
	if len(out.Hosts) > 0 && verdictOf(out) != "nothing changes what survives" {
		legend := ""
		if strings.Contains(b.String(), ":x: ") {
			legend = " :x: loses data or what protects it."
		}
		fmt.Fprintf(&b, "\n<sub>From %s to %s.%s</sub>\n", inMarkdown(out.Old.Source), inMarkdown(out.New.Source), legend)
	}
	return b.String()
}

func hostMarkdown(h aggregate.HostDiff) string {
	var b strings.Builder
	if h.State == aggregate.HostUnknown {
		fmt.Fprintf(&b, "\n#### %s: unknown\n\n%s\n", inMarkdown(h.Name), inMarkdown(unknownWords(h)))
		return b.String()
	}
	fmt.Fprintf(&b, "\n#### %s: %s\n\n", inMarkdown(h.Name), diffCounts(h))
	item := func(l changeLine, icon string) string {
		service := ""
		if l.Service != "" {
			service = "**" + inMarkdown(l.Service) + "**: "
		}
		text := fmt.Sprintf("- %s%s%s", icon, service, inMarkdown(l.text))
		if l.Hint != "" && icon != "" {
			text += "<br><sub>" + inMarkdown(l.Hint) + "</sub>"
		}
		return text + "\n"
	}
	var open, folded []string
	var loses, rest []changeLine
	for _, e := range aggregate.Effects() {
		for _, l := range changeLines(h.Changes, e) {
			if l.Loses {
				loses = append(loses, l)
			} else {
				rest = append(rest, l)
			}
		}
	}
	for _, l := range slices.Concat(loses, rest) {
		icon := ""
		switch {
		case l.Loses:
			icon = ":x: "
		case l.Severity < stateward.SeverityWarning:
		case l.Effect == aggregate.NotKnown:
			icon = ":grey_question: "
		default:
			icon = ":warning: "
		}
		if icon != "" && len(open) < openLines {
			open = append(open, item(l, icon))
		} else {
			folded = append(folded, item(l, icon))
		}
	}
	b.WriteString(strings.Join(open, ""))
	switch {
	case len(folded) == 0:
	case len(open) == 0 && len(folded) <= 3:
		b.WriteString(strings.Join(folded, ""))
	default:
		const most = 100
		what := pickWord(len(open) == 0, count(len(folded), "change"), fmt.Sprintf("%d more", len(folded)))
		more := ""
		if n := len(folded); n > most {
			folded, more = folded[:most], fmt.Sprintf("- and %d more\n", n-most)
		}
		fmt.Fprintf(&b, "%s<details><summary>%s</summary>\n\n%s%s\n</details>\n", pickWord(len(open) > 0, "\n", ""), what, strings.Join(folded, ""), more)
	}
	return b.String()
}

// diffGitHub is a workflow command for each change that counts, and a summary.
func diffGitHub(out DiffOutput, at places) string {
	var b strings.Builder
	for _, h := range worstFirst(out.Hosts) {
		if h.State == aggregate.HostUnknown {
			b.WriteString(githubCommand("error", [][2]string{{"title", h.Name + " is unknown"}}, unknownWords(h)))
		}
		for _, e := range []aggregate.Effect{aggregate.Worse, aggregate.NotKnown, aggregate.Changed} {
			for _, l := range changeLines(h.Changes, e) {
				if l.Severity < stateward.SeverityWarning {
					continue
				}
				text := h.Name + ": "
				if l.Service != "" {
					text += l.Service + ": "
				}
				text += l.text
				if l.Hint != "" {
					text += "\nhint: " + l.Hint
				}
				file, line := "", ""
				if found, ok := at.find(l.File); ok {
					file = found
					if l.Line > 0 {
						line = fmt.Sprint(l.Line)
					}
				}
				b.WriteString(githubCommand(githubCommands[l.Severity], [][2]string{{"file", file}, {"line", line}, {"title", pickWord(l.Loses, "loses data, or what protects it", effectWords[e])}}, text))
			}
		}
	}
	for _, h := range out.Hosts {
		words := cmp.Or(diffCounts(h), "as before")
		if h.State == aggregate.HostUnknown {
			words = "unknown"
		}
		fmt.Fprintf(&b, "stateward: %s: %s\n", inLine(h.Name), words)
	}
	fmt.Fprintf(&b, "stateward: from %s to %s: %s\n", inLine(out.Old.Source), inLine(out.New.Source), verdictOf(out))
	return b.String()
}
