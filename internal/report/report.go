// Package report draws what a check found as one page of HTML, complete in itself: it asks nothing of anybody, and reads without
// JavaScript. What a configuration says is text on it and nothing else, whatever it holds.
//
// The same [Page] gives the same bytes. There is no time on the page but [Page.Made].
package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"html/template"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/backup/drill"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/text"
)

// Page is what is shown.
type Page struct {
	// Source is what was evaluated, as it was written.
	Source string
	// Program is what made the page, with its version; Nix is the version of nix that evaluated, empty where nobody knows.
	Program, Nix string
	// Made is when; the zero time is not shown, and no age is told then.
	Made time.Time
	// Judged is the moment by which it is told whether a drill is overdue; the zero time tells nothing of that.
	Judged time.Time
	// EvaluatedWith is what was asked of nix beyond the source.
	EvaluatedWith []string
	// Configuration is the file of settings that was read; empty where there was none.
	Configuration string
	// Notes tell what was left out or is known already, a sentence each, so that a short list is not taken for a good one.
	Notes []string
	// Findings are about all hosts as a whole, Excluded how many of those are left out.
	Findings []stateward.Diagnostic
	Excluded int
	// Hosts in any order: the worst is shown first.
	Hosts []Host
	// Drills are the records of restore drills, of these hosts and maybe of others; nil means that nobody looked.
	Drills []drill.Record
}

// Host is one host, or why there is none.
type Host struct {
	Name, Source string
	// Failure is why the host could not be evaluated; nil where it was.
	Failure *Failure
	// Declared is what it declares; nil where it failed.
	Declared *stateward.Host
	Root     aggregate.RootState
	Findings []stateward.Diagnostic
	Survival []stateward.SurvivalRow
	// Excluded counts by code the findings that are left out.
	Excluded map[string]int
	// Captures are what was seen on the host itself.
	Captures []Capture
	// Pools are what its pools had when it was looked at; nil means that nobody looked.
	Pools *dataset.Observed
}

// Failure is why a host failed.
type Failure struct{ Message, Hint, Place string }

// Capture is what was seen on a host.
type Capture struct {
	File  string
	Taken time.Time
	// Of are the persistence roots and pools that it tells of.
	Of []string
}

//go:embed page.html.tmpl
var pageText string

//go:embed style.css
var styleText string

//go:embed script.js
var scriptText string

// page is parsed once, when the first is written.
var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{"t": shown}).Parse(pageText))
})

// shown is a text of a configuration on one line: what would reorder or hide what stands beside it is made visible. The template escapes
// it for its place beside that.
func shown(s string) string { return text.Line(strings.ToValidUTF8(s, "\uFFFD")) }

// Write writes the page.
func Write(w io.Writer, p Page) error {
	v := newView(p)
	v.Style, v.Script = template.CSS(styleText), template.JS(scriptText)
	v.Policy = "default-src 'none'; style-src '" + hash(styleText) + "'; script-src '" + hash(scriptText) + "'; img-src data:; base-uri 'none'; form-action 'none'"
	var b bytes.Buffer
	if err := page().Execute(&b, v); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// hash is by what a Content-Security-Policy knows a text.
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
