// Command s3server is an S3 server for tests: in memory, on the address that is given, for one key. It prints where it listens. With another
// one's URL it begins with the objects that the other has, as old as they are there.
package main

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

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

// everything is the path where all objects are had at once, without the key: they are those of a test. A bucket's name cannot be it.
const everything = "/.everything"

type object struct {
	Bucket, Key string
	At          time.Time
	Metadata    map[string]string
	Body        []byte
}

func (m memory) write(ctx context.Context, w io.Writer) error {
	out := gob.NewEncoder(w)
	buckets, err := m.ListBuckets(ctx)
	if err != nil {
		return err
	}
	for _, b := range buckets {
		list, err := m.ListBucket(ctx, b.Name, &gofakes3.Prefix{}, gofakes3.ListBucketPage{})
		if err != nil {
			return err
		}
		for _, c := range list.Contents {
			o, err := m.GetObject(ctx, b.Name, c.Key, nil)
			if err != nil {
				return err
			}
			body, err := io.ReadAll(o.Contents)
			o.Contents.Close()
			if err == nil {
				err = out.Encode(object{b.Name, c.Key, c.LastModified.Time, o.Metadata, body})
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// clock is now, or the time of the object that is taken over.
type clock struct {
	gofakes3.TimeSource
	fixed time.Time
}

func (c *clock) Now() time.Time {
	if !c.fixed.IsZero() {
		return c.fixed
	}
	return c.TimeSource.Now()
}

func (m memory) read(ctx context.Context, c *clock, url string) error {
	resp, err := http.Get(url + everything)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	in := gob.NewDecoder(resp.Body)
	for {
		var o object
		if err := in.Decode(&o); err == io.EOF {
			c.fixed = time.Time{}
			return nil
		} else if err != nil {
			return err
		}
		if ok, err := m.BucketExists(ctx, o.Bucket); err != nil {
			return err
		} else if !ok {
			if err := m.CreateBucket(ctx, o.Bucket); err != nil {
				return err
			}
		}
		c.fixed = o.At
		if _, err := m.PutObject(ctx, o.Bucket, o.Key, o.Metadata, bytes.NewReader(o.Body), int64(len(o.Body))); err != nil {
			return err
		}
	}
}

func main() {
	if len(os.Args) < 2 || len(os.Args) > 3 || os.Getenv("S3_KEY") == "" || os.Getenv("S3_SECRET") == "" {
		fmt.Fprintln(os.Stderr, "usage: S3_KEY=NAME S3_SECRET=SECRET s3server ADDRESS [URL]")
		os.Exit(2)
	}
	c := &clock{TimeSource: gofakes3.DefaultTimeSource()}
	m := memory{s3mem.New(s3mem.WithTimeSource(c))}
	var err error
	if len(os.Args) == 3 {
		err = m.read(context.Background(), c, os.Args[2])
	}
	// Without the key nothing that is S3 is answered, as with a real one.
	s := gofakes3.New(m, gofakes3.WithV4Auth(map[string]string{os.Getenv("S3_KEY"): os.Getenv("S3_SECRET")})).Server()
	var l net.Listener
	if err == nil {
		l, err = net.Listen("tcp", os.Args[1])
	}
	if err == nil {
		fmt.Println(l.Addr())
		err = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != everything {
				s.ServeHTTP(w, r)
			} else if err := m.write(r.Context(), w); err != nil {
				panic(http.ErrAbortHandler)
			}
		}))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
