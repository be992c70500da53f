package lease

import (
	"math/rand/v2"
	"slices"
	"time"
)

// simKey is a key of a simulated bucket: each write gets the next revision.
type simKey struct {
	revision uint64 // the last one given
	versions []simVersion
	down     time.Duration // until then the server does not answer
	wiped    time.Duration // when the key last vanished without a marker
}

// simVersion is what the key held from a time on.
type simVersion struct {
	at time.Duration
	entry
}

func (k *simKey) last() entry {
	if len(k.versions) == 0 {
		return entry{}
	}
	return k.versions[len(k.versions)-1].entry
}

// put writes a value unconditionally; nil deletes the key and leaves a marker.
func (k *simKey) put(now time.Duration, raw []byte) entry {
	k.revision++
	e := newEntry(k.revision, raw)
	k.versions = append(k.versions, simVersion{now, e})
	return e
}

// wipe removes the key with its revision.
func (k *simKey) wipe(now time.Duration) {
	k.wiped = now
	k.versions = append(k.versions, simVersion{now, entry{}})
}

// stale returns what a replica may still hold that is at most so far behind.
func (k *simKey) stale(rng *rand.Rand, now, most time.Duration) entry {
	i := len(k.versions) - 1
	for i > 0 && k.versions[i].at > now-most && rng.IntN(2) == 0 {
		i--
	}
	if i < 0 {
		return entry{}
	}
	return k.versions[i].entry
}

// update writes a value if the key is at a revision.
func (k *simKey) update(now time.Duration, revision uint64, raw []byte) (entry, bool) {
	if k.last().revision != revision {
		return entry{}, false
	}
	return k.put(now, slices.Clone(raw)), true
}
