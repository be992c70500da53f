package lease

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxState is the greatest size of a caller's state in bytes.
const MaxState = 4 << 10

// maxValue is the greatest size in bytes of a value that an instance writes: the state,
// the instance, and what newer versions may add.
const maxValue = 8 << 10

// maxTTL is the longest TTL that a value may have.
const maxTTL = time.Hour

// maxInstance is the greatest size of the name of an instance in bytes.
const maxInstance = 256

// value is what the key holds. Unknown members are ignored: a newer version may write
// them.
type value struct {
	// Instance is the process that wrote it: a name that is new at each start.
	Instance string `json:"instance"`
	// Renewal is the number of the instance's attempt to write, from 1.
	Renewal uint64 `json:"renewal"`
	// Released says that the instance has ended, and that the lease is free.
	Released bool `json:"released,omitzero"`
	// Milliseconds is the instance's TTL: another version's may be another one. 0: it
	// does not say.
	Milliseconds int64 `json:"ttl_ms,omitzero"`
	// State is the caller's; this package does not look into it.
	State jsontext.Value `json:"state,omitzero"`
}

// ttl is the TTL of the instance that wrote the value; 0: it does not say.
func (v *value) ttl() time.Duration {
	return time.Duration(min(v.Milliseconds, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}

func (v *value) encode() ([]byte, error) { return json.Marshal(v) }

// decodeValue decodes what an instance wrote. The error says why nobody did.
func decodeValue(raw []byte) (v value, err error) {
	//guard:false "a value too large to be a holder's is nobody's" TestForeignValues
	if len(raw) > maxValue {
		return value{}, fmt.Errorf("%d bytes: want at most %d", len(raw), maxValue)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return value{}, err
	}
	switch {
	//guard:false "a value without an instance is nobody's" TestForeignValues
	case v.Instance == "" || len(v.Instance) > maxInstance:
		return value{}, fmt.Errorf("\"instance\" has %d bytes: want 1 to %d", len(v.Instance), maxInstance)
	//guard:false "a value without a renewal is nobody's" TestForeignValues
	case v.Renewal == 0:
		return value{}, errors.New(`no "renewal"`)
	//guard:false "no value keeps the lease for ever" TestForeignValues
	case v.Milliseconds < 0 || v.ttl() > maxTTL:
		return value{}, fmt.Errorf("\"ttl_ms\" is %d: want at most %d", v.Milliseconds, maxTTL.Milliseconds())
	}
	return v, nil
}

// checkState reports what is wrong with a caller's state: it must be JSON of at most
// MaxState bytes.
func checkState(state jsontext.Value) error {
	if len(state) > MaxState {
		return fmt.Errorf("%d bytes: want at most %d", len(state), MaxState)
	}
	if state != nil && !state.IsValid() {
		return errors.New("not JSON")
	}
	return nil
}

// entry is the key as it was read once.
type entry struct {
	// revision is that of the value, or of the marker that says that the key was
	// deleted; 0 if there is neither.
	revision uint64
	raw      []byte // nil: the key is missing
	value           // zero if the key is missing or holds something else
	err      error  // what is wrong with something else
}

// newEntry returns the entry of a key; raw is nil if it is missing.
func newEntry(revision uint64, raw []byte) entry {
	e := entry{revision: revision, raw: raw}
	if raw != nil {
		e.value, e.err = decodeValue(raw)
	}
	return e
}

// same reports whether nothing was written between two readings of the key.
func (e *entry) same(other *entry) bool {
	return e.revision == other.revision && bytes.Equal(e.raw, other.raw)
}
