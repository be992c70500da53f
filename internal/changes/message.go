package changes

import (
	"github.com/go-json-experiment/json"

	"rollcall/internal/api"
)

// encode encodes a change. If it has more than most bytes, it is encoded without
// users.
func encode(c *api.Change, most int) ([]byte, error) {
	data, err := json.Marshal(c)
	if err != nil || len(data) <= most {
		return data, err
	}
	c.Came, c.Left, c.Users, c.Large = nil, nil, nil, true
	return json.Marshal(c)
}
