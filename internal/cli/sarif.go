package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// The parts of SARIF 2.1.0 that a check fills,
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		Invocations        []sarifInvocation        `json:"invocations"`
		OriginalURIBaseIDs map[string]sarifArtifact `json:"originalUriBaseIds"`
		Results            []sarifResult            `json:"results"`
	}
	sarifDriver struct {
		Name            string      `json:"name"`
		Version         string      `json:"version"`
		SemanticVersion string      `json:"semanticVersion,omitempty"`
		InformationURI  string      `json:"informationUri"`
		Rules           []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID                   string             `json:"id"`
		ShortDescription     sarifText          `json:"shortDescription"`
		Help                 sarifText          `json:"help"`
		HelpURI              string             `json:"helpUri"`
		DefaultConfiguration sarifConfiguration `json:"defaultConfiguration"`
	}
	sarifConfiguration struct {
		Level   string `json:"level,omitempty"`
		Enabled *bool  `json:"enabled,omitempty"`
	}
	sarifText struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifInvocation struct {
		ExecutionSuccessful    bool                `json:"executionSuccessful"`
		ExitCode               int                 `json:"exitCode"`
		RuleOverrides          []sarifOverride     `json:"ruleConfigurationOverrides,omitempty"`
		ExecutionNotifications []sarifNotification `json:"toolExecutionNotifications"`
	}
	sarifOverride struct {
		Descriptor    sarifReference     `json:"descriptor"`
		Configuration sarifConfiguration `json:"configuration"`
	}
	sarifReference struct {
		ID    string `json:"id"`
		Index int    `json:"index"`
	}
	sarifNotification struct {
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
	sarifResult struct {
		RuleID        string             `json:"ruleId"`
		RuleIndex     int                `json:"ruleIndex"`
		Level         string             `json:"level"`
		Message       sarifText          `json:"message"`
		Locations     []sarifLocation    `json:"locations"`
		Fingerprints  map[string]string  `json:"partialFingerprints"`
		Suppressions  []sarifSuppression `json:"suppressions"`
		BaselineState string             `json:"baselineState,omitempty"`
		Properties    map[string]string  `json:"properties,omitempty"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Status        string `json:"status"`
		Justification string `json:"justification"`
	}
	sarifLocation struct {
		Physical *sarifPhysical `json:"physicalLocation,omitempty"`
		Logical  []sarifLogical `json:"logicalLocations"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI         string     `json:"uri,omitempty"`
		URIBaseID   string     `json:"uriBaseId,omitempty"`
		Description *sarifText `json:"description,omitempty"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		Name               string `json:"name"`
		FullyQualifiedName string `json:"fullyQualifiedName"`
		Kind               string `json:"kind"`
	}
)

const (
	sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	homepage    = "https://github.com/stateward/stateward"
	// sarifBase stands for the repository's root, as code scanning takes it.
	sarifBase = "%SRCROOT%"
	// sarifFingerprint names how a finding is told from others; another way gets another number.
	sarifFingerprint = "stateward/v1"
)

var sarifLevels = map[stateward.Severity]string{
	stateward.SeverityError: "error", stateward.SeverityWarning: "warning", stateward.SeverityInfo: "note",
}

// newSARIF is a check as SARIF. What is accepted is suppressed, what is excluded is a rule that is off.
func newSARIF(out CheckOutput, r *checkRun, at places) sarifLog {
	run := sarifRun{
		OriginalURIBaseIDs: map[string]sarifArtifact{sarifBase: {Description: &sarifText{Text: "the root of the repository that holds the configuration"}}},
		Results:            []sarifResult{},
	}
	driver := sarifDriver{Name: "stateward", Version: version(), InformationURI: homepage}
	driver.SemanticVersion = strings.TrimPrefix(driver.Version, "v")
	status := out.status(r.threshold)
	invocation := sarifInvocation{
		ExecutionSuccessful: status != StatusEvaluation, ExitCode: status, ExecutionNotifications: []sarifNotification{},
	}
	index := map[string]int{}
	for i, c := range aggregate.Catalog() {
		index[c.Code] = i
		driver.Rules = append(driver.Rules, sarifRule{
			ID: c.Code, ShortDescription: sarifText{Text: c.Title}, Help: sarifText{Text: c.Doc, Markdown: c.Doc},
			HelpURI: homepage + "/blob/main/docs/checks.md#" + anchor(c), DefaultConfiguration: sarifConfiguration{Level: sarifLevels[c.Severity]},
		})
		if !r.selection.has(c.Code) {
			off := false
			invocation.RuleOverrides = append(invocation.RuleOverrides, sarifOverride{sarifReference{c.Code, i}, sarifConfiguration{Enabled: &off}})
		}
	}
	seen := map[string]int{}
	add := func(host string, findings []stateward.Diagnostic) {
		for _, d := range findings {
			id := fingerprintText(aggregate.Identify(host, d))
			result := sarifResult{
				RuleID: d.Code, RuleIndex: index[d.Code], Level: sarifLevels[d.Severity], Message: sarifText{Text: sarifMessage(host, d)},
				Locations:    []sarifLocation{at.sarif(host, d.Subject, d.File, d.Line)},
				Fingerprints: map[string]string{sarifFingerprint: fingerprint(id, seen[id])},
				Suppressions: []sarifSuppression{},
			}
			seen[id]++
			if d.Acknowledged != "" {
				result.Suppressions = append(result.Suppressions, sarifSuppression{"external", "accepted", d.Acknowledged})
			}
			if r.baseline != nil {
				result.BaselineState = "new"
				if d.Baseline {
					result.BaselineState = "unchanged"
				}
			}
			for name, v := range map[string]string{"host": host, "service": d.Service, "path": d.Path} {
				if v == "" {
					continue
				}
				if result.Properties == nil {
					result.Properties = map[string]string{}
				}
				result.Properties[name] = v
			}
			run.Results = append(run.Results, result)
		}
	}
	if s := evaluatedWith(out.EvaluatedWith); s != "" {
		invocation.ExecutionNotifications = append(invocation.ExecutionNotifications, sarifNotification{Level: "warning", Message: sarifText{Text: s}})
	}
	if n := out.NixFlakeCheck; n != nil && n.Status != 0 {
		invocation.ExecutionSuccessful = false
		invocation.ExecutionNotifications = append(invocation.ExecutionNotifications, sarifNotification{Level: "error", Message: sarifText{Text: "nix flake check failed: " + n.Log}})
	}
	add("", out.Findings)
	for _, h := range out.Hosts {
		if h.Error != nil {
			invocation.ExecutionNotifications = append(invocation.ExecutionNotifications, sarifNotification{
				Level: "error", Message: sarifText{Text: h.Name + " could not be evaluated: " + h.Error.Message}, Locations: []sarifLocation{at.sarif(h.Name, "", h.Error.File, h.Error.Line)},
			})
		}
		for _, u := range h.Unknown {
			invocation.ExecutionNotifications = append(invocation.ExecutionNotifications, sarifNotification{
				Level: "warning", Message: sarifText{Text: fmt.Sprintf("%s: could not be evaluated or understood: %s", h.Name, u)},
				Locations: []sarifLocation{at.sarif(h.Name, u.Subject, u.File, u.Line)},
			})
		}
		add(h.Name, h.Findings)
	}
	run.Tool.Driver, run.Invocations = driver, []sarifInvocation{invocation}
	return sarifLog{Schema: sarifSchema, Version: "2.1.0", Runs: []sarifRun{run}}
}

func sarifMessage(host string, d stateward.Diagnostic) string {
	s := d.Message
	if host != "" {
		s = host + ": " + s
	}
	if d.Hint != "" {
		s += ". Hint: " + d.Hint
	}
	return s
}

// fingerprint is the same for one fault wherever it stands; n counts those that are alike.
func fingerprint(text string, n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", text, n))
	return hex.EncodeToString(sum[:16])
}

// fingerprintText names all members, so that a dismissed alert comes back when another one joins.
func fingerprintText(ids []aggregate.FaultID) string {
	var parts []string
	for _, id := range ids {
		part := fmt.Sprintf("%q %q %q %q %q", id.Host, id.Code, id.Service, id.Path, id.Subject)
		if id.Text != "" {
			part += fmt.Sprintf(" %q", id.Text)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " ")
}

// sarif is the place of an option.
func (p places) sarif(host, subject, file string, line int) sarifLocation {
	var names []string
	for _, s := range []string{host, subject} {
		switch {
		case s == "":
		case s == host && len(names) == 0:
			names = append(names, stateward.OptionPath(s))
		default:
			names = append(names, s)
		}
	}
	l := sarifLogical{Name: subject, FullyQualifiedName: strings.Join(names, "."), Kind: "property"}
	if subject == "" {
		l.Name, l.Kind = host, "namespace"
	}
	out := sarifLocation{Logical: []sarifLogical{l}}
	if file == "" {
		return out
	}
	artifact := sarifArtifact{URIBaseID: sarifBase}
	name, found := p.find(file)
	switch {
	case found:
		artifact.URI = (&url.URL{Path: name}).String()
	case filepath.IsAbs(file):
		artifact = sarifArtifact{URI: (&url.URL{Scheme: "file", Path: file}).String()}
	default:
		artifact.URI = (&url.URL{Path: file}).String()
	}
	out.Physical = &sarifPhysical{Artifact: artifact}
	if line > 0 {
		out.Physical.Region = &sarifRegion{line}
	}
	return out
}
