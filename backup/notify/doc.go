// Package notify says what is told to whom when a job ends: templates of messages, the channels that carry them, and the units of systemd
// that send them. It sends nothing and reads no file.
package notify
