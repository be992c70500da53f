package changes

import (
	"github.com/go-json-experiment/json"

	"rollcall/internal/api"
)

// encode encodes a change. If that has more than maxBytes, it is encoded without
// users.
func encode(c *api.Change, maxBytes int) ([]byte, error) {
	data, err := json.Marshal(c)
	if err != nil || len(data) <= maxBytes {
		return data, err
	}
	c.Came, c.Left, c.Users, c.Large = nil, nil, nil, true
	return json.Marshal(c)
}
