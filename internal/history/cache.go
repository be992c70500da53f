package history

import "sync"

// cache remembers the entries that were used last, in two generations. When the recent one
// is full, it becomes the older one, and the older one is dropped: what was not used in
// the meantime is forgotten. It is safe for concurrent use.
type cache[K comparable, V any] struct {
	mu            sync.Mutex
	recent, older map[K]V
	size, most    int // of recent
	sizeOf        func(V) int
}

// newCache returns a cache that remembers values of at most twice that size in all.
func newCache[K comparable, V any](most int, sizeOf func(V) int) *cache[K, V] {
	return &cache[K, V]{recent: map[K]V{}, most: most, sizeOf: sizeOf}
}

func (c *cache[K, V]) get(k K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.recent[k]
	if !ok {
		if v, ok = c.older[k]; ok {
			c.add(k, v)
		}
	}
	return v, ok
}

func (c *cache[K, V]) put(k K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(k, v)
}

func (c *cache[K, V]) add(k K, v V) {
	if was, ok := c.recent[k]; ok {
		c.size -= c.sizeOf(was)
	}
	if c.size >= c.most {
		c.recent, c.older, c.size = map[K]V{}, c.recent, 0
	}
	c.recent[k] = v
	c.size += c.sizeOf(v)
}

func (c *cache[K, V]) delete(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if was, ok := c.recent[k]; ok {
		c.size -= c.sizeOf(was)
	}
	delete(c.recent, k)
	delete(c.older, k)
}
