package dataset

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// writable tells whether steps on the pool of a dataset can be carried out at all. Ask it once a step is needed: a pool that
// needs none is no conflict.
func (p *planner) writable(n *node) bool {
	if p.seen == nil {
		return true
	}
	name := n.want.Name.Pool()
	c, judged := p.pools[name]
	if !judged {
		c = p.judgePool(name)
		if c != nil {
			c.Origin = n.want.Origin
			p.conflicts = append(p.conflicts, c)
		}
		p.pools[name] = c
	}
	if c != nil {
		c.blocks(n)
		n.out = c
	}
	return c == nil
}

func (p *planner) judgePool(name string) *Conflict {
	c := Conflict{Dataset: Name{name}}
	pool, ok := p.seen.Pool(name)
	switch {
	case !ok && slices.Contains(p.seen.LeftOut, name):
		c.Kind, c.Message, c.Hint = NotObserved, "pool "+name+" was left out when the pools were captured", "capture again without --pool"
	case !ok:
		c.Kind, c.Message, c.Hint = PoolAbsent, "pool "+name+" is not imported", "import it: zpool import "+name
	case pool.AltRoot != "":
		c.Kind, c.Message, c.Hint = PoolElsewhere, "pool "+name+" is imported below "+pool.AltRoot, "plan from within that system, or import the pool without altroot"
		c.Found = pool.AltRoot
	case pool.ReadOnly:
		c.Kind, c.Message, c.Hint = PoolUnwritable, "pool "+name+" is imported read-only", "export it, and import it without readonly=on"
		c.Found = "readonly=on"
	case pool.Health != "ONLINE" && pool.Health != "DEGRADED" && pool.Health != "":
		c.Kind, c.Message, c.Hint = PoolUnwritable, "pool "+name+" is "+pool.Health, "look at zpool status "+name
		c.Found = pool.Health
	default:
		return nil
	}
	return &c
}

// elsewhere tells whether the pool of a dataset is imported for another system.
func (p *planner) elsewhere(n *node) bool {
	if p.seen == nil {
		return false
	}
	pool, ok := p.seen.Pool(n.want.Name.Pool())
	return ok && pool.AltRoot != "" && !p.writable(n)
}

// featureOf is the one of zpool-features(7) that a value needs.
func featureOf(s Setting) string {
	switch s.name {
	case "recordsize":
		if n, err := strconv.ParseUint(s.value, 10, 64); err == nil && n > 128<<10 {
			return "large_blocks"
		}
	case "compression":
		if strings.HasPrefix(s.value, "zstd") {
			return "zstd_compress"
		}
	case "checksum", "dedup":
		algorithm, _, _ := strings.Cut(s.value, ",")
		if slices.Contains([]string{"sha512", "skein", "edonr", "blake3"}, algorithm) {
			return algorithm
		}
	case "dnodesize":
		if s.value != "legacy" {
			return "large_dnode"
		}
	case "encryption":
		if s.value != "off" {
			return "encryption"
		}
	case "filesystem_limit", "snapshot_limit":
		if s.value != "none" {
			return "filesystem_limits"
		}
	case "longname":
		if s.value == "on" {
			return "longname"
		}
	}
	switch kind, _, quota := strings.Cut(s.name, "@"); {
	case !quota:
	case strings.HasPrefix(kind, "project"):
		return "project_quota"
	case strings.HasSuffix(kind, "objquota"):
		return "userobj_accounting"
	}
	return ""
}

func (p *planner) lacksFeature(n *node, s Setting) (string, bool) {
	feature := featureOf(s)
	if feature == "" || p.seen == nil {
		return "", false
	}
	pool, ok := p.seen.Pool(n.want.Name.Pool())
	return feature, ok && len(pool.Features) > 0 && !slices.Contains(pool.Features, feature)
}

func (p *planner) featureConflict(s Setting, feature string) Conflict {
	return Conflict{Kind: Refused, Property: s.name, Wanted: s.value, Message: fmt.Sprintf("%s needs the pool's feature %s, which is not enabled", s, feature),
		Hint: "enable it: zpool set feature@" + feature + "=enabled POOL, which cannot be taken back"}
}
