package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// download receives an object into a file, which is on disk when it returns.
func download(ctx context.Context, store jetstream.ObjectStore, name, path string) (err error) {
	object, err := store.Get(sliced{ctx}, name)
	if err != nil {
		return fmt.Errorf("fetching %s from %s: %w", name, Bucket, err)
	}
	defer object.Close()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	// It ends with an error if the digest is another one.
	_, err = io.Copy(f, &steady{r: object, last: time.Now()})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("fetching %s from %s: %w", name, Bucket, err)
	}
	return nil
}

// discardTimeout is how long deleting what was handed over may take.
const discardTimeout = 2 * time.Second

// discard deletes what was handed over, received or not. What it can't delete, the object
// store deletes in an hour.
func discard(store jetstream.ObjectStore, m *Manifest) {
	ctx, cancel := context.WithTimeout(context.Background(), discardTimeout)
	defer cancel()
	for _, name := range []string{m.Snapshot, m.History} {
		if name != "" {
			_ = store.Delete(ctx, name)
		}
	}
}

// sliced is a context whose deadline is always a moment away. The library, when it reads an
// object, waits for data until the deadline of the context, and does not notice before that
// the context was canceled.
type sliced struct{ context.Context }

// Deadline returns the end of the next slice.
func (sliced) Deadline() (time.Time, bool) {
	//guard:set slice time.Hour "nobody waits for a download that has stopped" TestStalledDownload
	return time.Now().Add(slice), true
}

const slice = time.Second

// stalledFor is how long a download may receive nothing. Tests shorten it.
var stalledFor = time.Minute

// steady reads an object until nothing was received for stalledFor.
type steady struct {
	r    io.Reader
	last time.Time // when something was
}

// Read implements [io.Reader].
func (s *steady) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	switch {
	case n > 0:
		s.last = time.Now()
	case errors.Is(err, os.ErrDeadlineExceeded):
		if err = nil; time.Since(s.last) > stalledFor {
			err = fmt.Errorf("nothing was received for %v", stalledFor)
		}
	}
	return n, err
}
