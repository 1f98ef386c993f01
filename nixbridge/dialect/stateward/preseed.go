package stateward

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// preseed reads how an empty dataset of a service comes back.
func preseed(n *dialect.Node) *stateward.Preseed {
	switch n.Kind() {
	case dialect.Attrs, dialect.Unknown:
	case dialect.Absent, dialect.Null:
		return nil
	default:
		// Somebody wants one: that is not "none is asked for".
		return &stateward.Preseed{Enable: stateward.NotKnown[bool](n.Wrong(stateward.UnknownType, "expected an attribute set, found %s", n.Kind())), Origin: n.Origin()}
	}
	span := func(n *dialect.Node) stateward.Value[stateward.Duration] {
		return dialect.Understood(n, n.Filled(), stateward.ParseDuration)
	}
	validate, noBackup, bytes := n.At("validate"), n.At("onNoBackup"), n.At("minBytes")
	set(validate)
	p := &stateward.Preseed{
		Enable: n.At("enable").Bool(), Sources: dialect.PreseedSources(n.At("sources")),
		OnNoBackup: dialect.Understood(noBackup, noBackup.Filled(), func(text string) (string, error) {
			if policies := []string{"refuse", "start-empty"}; !slices.Contains(policies, text) {
				return "", fmt.Errorf("policy %q is none of %s", text, strings.Join(policies, ", "))
			}
			return text, nil
		}),
		Reason: n.At("reason").Filled(), MaxAge: span(n.At("maxAge")), Timeout: span(n.At("timeout")),
		MinBytes: dialect.Understood(bytes, bytes.Int(), func(many int) (int64, error) {
			if many < 0 {
				return 0, fmt.Errorf("%d is no number of bytes", many)
			}
			return int64(many), nil
		}),
		Paths: n.At("paths").Strings(), SQLite: validate.At("sqlite").Bool(), Command: command(validate.At("command")), Staging: n.At("staging").Filled(),
		From: n.At("from").Filled(), SSHKey: n.At("sshKey").Filled(), KnownHosts: n.At("knownHosts").Filled(), Repository: n.At("repository").Filled(),
		Origin: n.Origin(),
	}
	if validate.At("command").Kind() == dialect.String {
		// What follows a text for bash is $0, $1 …: the folder is to be $1.
		p.Command = stateward.MapValue(p.Command, func(words []string) ([]string, error) { return append(words, "bash"), nil })
	}
	if p.Enable.IsAbsent() {
		p.Enable = stateward.Known(true, n.Origin())
	}
	return p
}
