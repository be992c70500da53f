package history

// cache remembers what was used last, in two generations: when the recent one is full,
// it becomes the older one, and what was not used since then is forgotten.
type cache[K comparable, V any] struct {
	recent, older map[K]V
	size, most    int // of recent
	sizeOf        func(V) int
}

// newCache returns a cache that remembers values of at least that size in all, and at
// most twice as much. If sizeOf is nil, each counts 1.
func newCache[K comparable, V any](most int, sizeOf func(V) int) *cache[K, V] {
	if sizeOf == nil {
		sizeOf = func(V) int { return 1 }
	}
	return &cache[K, V]{recent: map[K]V{}, most: most, sizeOf: sizeOf}
}

func (c *cache[K, V]) get(k K) (V, bool) {
	v, ok := c.recent[k]
	if !ok {
		if v, ok = c.older[k]; ok {
			c.put(k, v)
		}
	}
	return v, ok
}

func (c *cache[K, V]) put(k K, v V) {
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
	if was, ok := c.recent[k]; ok {
		c.size -= c.sizeOf(was)
	}
	delete(c.recent, k)
	delete(c.older, k)
}
