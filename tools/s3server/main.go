// Command s3server is an S3 server for tests: in memory, on the address that is given, for one key. It prints where it listens.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"
)

// memory keeps the objects.
type memory struct{ gofakes3.Backend }

// ListBucket takes an empty delimiter for none, as S3 does.
func (m memory) ListBucket(ctx context.Context, name string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	if prefix != nil && prefix.Delimiter == "" {
		whole := *prefix
		whole.HasDelimiter = false
		prefix = &whole
	}
	return m.Backend.ListBucket(ctx, name, prefix, page)
}

func main() {
	if len(os.Args) != 2 || os.Getenv("S3_KEY") == "" || os.Getenv("S3_SECRET") == "" {
		fmt.Fprintln(os.Stderr, "usage: S3_KEY=NAME S3_SECRET=SECRET s3server ADDRESS")
		os.Exit(2)
	}
	// Without the key nothing is answered, as with a real one.
	s := gofakes3.New(memory{s3mem.New()}, gofakes3.WithV4Auth(map[string]string{os.Getenv("S3_KEY"): os.Getenv("S3_SECRET")}))
	l, err := net.Listen("tcp", os.Args[1])
	if err == nil {
		fmt.Println(l.Addr())
		err = http.Serve(l, s.Server())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
