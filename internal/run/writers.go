//go:build unix

package run

import "bytes"

// limited keeps what is written up to a limit; then it calls full once and
// drops the rest, until the process is gone.
type limited struct {
	buf   []byte
	limit int64
	full  func()
}

func (l *limited) Write(p []byte) (int, error) {
	if int64(len(l.buf))+int64(len(p)) > l.limit {
		if l.full != nil {
			l.full()
			l.full = nil
		}
		return len(p), nil
	}
	l.buf = append(l.buf, p...)
	return len(p), nil
}

// lines hands on each line and keeps the end of all.
type lines struct {
	keep int
	each func([]byte)
	tail []byte
	part []byte
}

func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	if len(p) >= l.keep {
		l.tail = append(l.tail[:0], p[len(p)-l.keep:]...)
	} else {
		if over := len(l.tail) + len(p) - l.keep; over > 0 {
			l.tail = append(l.tail[:0], l.tail[over:]...)
		}
		l.tail = append(l.tail, p...)
	}
	if l.each == nil {
		return n, nil
	}
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		if len(l.part) > 0 {
			l.add(p[:i])
			l.each(l.part)
			l.part = l.part[:0]
		} else {
			l.each(p[:min(i, maxLine)])
		}
		p = p[i+1:]
	}
	l.add(p)
	return n, nil
}

func (l *lines) add(p []byte) {
	if room := maxLine - len(l.part); len(p) > room {
		p = p[:max(room, 0)]
	}
	l.part = append(l.part, p...)
}

// flush hands on a last line that has no end.
func (l *lines) flush() {
	if l.each != nil && len(l.part) > 0 {
		l.each(l.part)
		l.part = nil
	}
}
