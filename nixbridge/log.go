package nixbridge

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// nixLog reads standard error of a nix that runs with --log-format internal-json.
type nixLog struct {
	// mark precedes the places that the probe announces; place is the last one.
	mark  []byte
	place []byte
	// unlocked tells that a flake has inputs that its lock file does not pin.
	unlocked bool
	// unmatched is nix' warning of an override of what is no input.
	unmatched string
	// thrown tells that nix evaluates what is known to throw: whatever it reports was worded by the configuration.
	thrown bool
	// full tells that nix runs with --show-trace.
	full bool
	// expression is what nix was given; a place in it may lie in what somebody wrote.
	expression string
	// errs are the last messages of level 0 that carry an error.
	errs []logMessage
	// plain are the last lines that nix, git or a library printed past the log.
	plain []string
	// lost are the last messages of level 0 that are no error, or that were cut in two.
	lost []string
	// starved is the first line past the log that tells of no memory left: newer nix print a long back trace behind it.
	starved string
}

type logMessage struct {
	Level  int     `json:"level"`
	Msg    string  `json:"msg"`
	RawMsg *string `json:"raw_msg"`
	File   *string `json:"file"`
	Line   *int    `json:"line"`
	Column *int    `json:"column"`
}

var (
	nixLine     = []byte("@nix ")
	messageKey  = []byte(`"action":"msg"`)
	errorLevel  = []byte(`"level":0`)
	traceStart  = []byte(`"msg":"trace:`)
	noSuchInput = []byte(`the flag '--override-input `)
	notLocked   = []byte(` not writing modified lock file of flake `)
)

func (l *nixLog) add(line []byte) {
	body, ok := bytes.CutPrefix(line, nixLine)
	if !ok {
		if l.addPart(line) {
			return
		}
		if s := strings.TrimSpace(stripANSI(string(line[:min(len(line), 1024)]))); s != "" {
			l.plain = keepLast(append(l.plain, s), 20)
			if l.starved == "" && outOfMemory.MatchString(s) {
				l.starved = s
			}
		}
		return
	}
	if !bytes.Contains(body, messageKey) {
		return
	}
	// 2.8 also quotes our whole expression, with the mark, as the file of an error.
	if len(l.mark) > 0 && bytes.Contains(body, append([]byte(`"msg":"trace: `), l.mark...)) {
		l.place = append(l.place[:0], body...)
		return
	}
	if bytes.Contains(body, notLocked) {
		l.unlocked = true
	}
	if l.unmatched == "" && bytes.Contains(body, noSuchInput) {
		var m logMessage
		if json.Unmarshal(body, &m) == nil {
			l.unmatched = stripANSI(m.Msg)
		}
	}
	if !bytes.Contains(body, errorLevel) {
		return
	}
	var m logMessage
	if json.Unmarshal(body, &m) != nil {
		if !l.addPart(body) && !bytes.Contains(body, traceStart) {
			l.keepLost(body)
		}
		return
	}
	if m.Level != 0 {
		return
	}
	m.Msg = stripANSI(m.Msg)
	// A trace that the configuration prints is of level 0 too.
	switch {
	case m.RawMsg != nil || strings.HasPrefix(m.Msg, "error:"):
		l.errs = keepLast(append(l.errs, m), 4)
	case !strings.HasPrefix(m.Msg, "trace:"):
		l.keepLost([]byte(m.Msg))
	}
}

// keepLost keeps what is no error as nix words one, for when there is no other. What a configuration prints is none of it: it may hold a
// secret.
func (l *nixLog) keepLost(text []byte) {
	if s := strings.TrimSpace(stripANSI(string(text[:min(len(text), 1024)]))); s != "" {
		l.lost = keepLast(append(l.lost, s), 4)
	}
}

// addPart saves the message of a line that is no whole one: the threads of nix
// write into each other's lines when these are longer than a pipe takes at once.
// The steps of a trace have a raw_msg too; nothing but the trace follows that of the error itself.
func (l *nixLog) addPart(line []byte) bool {
	key := []byte(`"raw_msg":`)
	for {
		i := bytes.Index(line, key)
		if i < 0 {
			return false
		}
		line = line[i+len(key):]
		d := json.NewDecoder(bytes.NewReader(line))
		var raw string
		if d.Decode(&raw) != nil {
			continue
		}
		rest := line[d.InputOffset():]
		if string(rest) == "}" || bytes.HasPrefix(rest, []byte(`,"trace":`)) {
			l.errs = keepLast(append(l.errs, logMessage{Msg: "error: " + stripANSI(raw), RawMsg: &raw}), 4)
			return true
		}
	}
}

func keepLast[T any](s []T, n int) []T {
	if len(s) > n {
		s = append(s[:0], s[len(s)-n:]...)
	}
	return s
}

// announced is the place that the probe entered last; ok is false when it entered none.
func (l *nixLog) announced() (path []string, ok bool) {
	if len(l.place) == 0 {
		return nil, false
	}
	var m logMessage
	if json.Unmarshal(l.place, &m) != nil {
		return nil, false
	}
	_, text, ok := strings.Cut(m.Msg, string(l.mark))
	if !ok || json.Unmarshal([]byte(text), &path) != nil {
		return nil, false
	}
	return path, true
}

// err is the error that nix reported; nil when it reported none.
func (l *nixLog) err() *EvalError {
	var m logMessage
	for _, c := range l.errs {
		if c.RawMsg != nil || m.RawMsg == nil {
			m = c
		}
	}
	if m.Msg == "" {
		return nil
	}
	e := &EvalError{Trace: m.Msg}
	if m.RawMsg != nil {
		e.Message = strings.TrimSpace(stripANSI(*m.RawMsg))
	} else {
		e.Message = strings.TrimSpace(strings.TrimPrefix(m.Msg, "error:"))
	}
	if m.File != nil {
		file, line, column := splitPosition(*m.File)
		if m.Line != nil {
			line = *m.Line
		}
		if m.Column != nil {
			column = *m.Column
		}
		// What lies within our own expression helps nobody. 2.8 names it by its whole text.
		if file != "" && !strings.HasPrefix(file, "«") && !strings.ContainsAny(file, "\n{") {
			e.File, e.Line, e.Column = file, line, column
		} else if file != "" {
			e.innerLine, e.innerColumn = line, column
		}
	}
	return e
}

// worded tells that the configuration itself worded an error, by abort or throw: its words say nothing of nix or of the
// machine. Of a throw nix 2.8 does not tell.
func (l *nixLog) worded(e *EvalError) bool {
	if l.thrown {
		return e.Message != "out of memory" && e.Message != "stack overflow; max-call-depth exceeded" && e.Message != "stack overflow (possible infinite recursion)"
	}
	return strings.HasPrefix(e.Message, "evaluation aborted with") || thrownOrNot(e.Trace) != ""
}

// text is all that was said, for what is only found in it.
func (l *nixLog) text() string {
	var parts []string
	if l.starved != "" && !slices.Contains(l.plain, l.starved) {
		parts = append(parts, l.starved)
	}
	parts = append(parts, l.plain...)
	for _, m := range l.errs {
		if m.RawMsg != nil {
			parts = append(parts, stripANSI(*m.RawMsg))
		}
		parts = append(parts, m.Msg)
	}
	return strings.Join(parts, "\n")
}

var trailingPosition = regexp.MustCompile(`:(\d+):(\d+)$`)

// splitPosition cuts ":line:column" off a file name, where newer nix put it.
func splitPosition(s string) (file string, line, column int) {
	m := trailingPosition.FindStringSubmatchIndex(s)
	if m == nil {
		return s, 0, 0
	}
	line, _ = strconv.Atoi(s[m[2]:m[3]])
	column, _ = strconv.Atoi(s[m[4]:m[5]])
	return s[:m[0]], line, column
}

var ansi = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)")

func stripANSI(s string) string {
	if strings.IndexByte(s, 0x1b) < 0 {
		return s
	}
	return ansi.ReplaceAllString(s, "")
}
