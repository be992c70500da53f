package history

import (
	"encoding/json"
	"fmt"

	"rollcall/internal/roster"
)

// Settings decide what becomes of a message.
type Settings struct {
	roster.Settings
	// Subject is the base of the subjects.
	Subject string `json:"subject"`
}

// change is what decides from the message after a place on.
type change struct {
	place uint64
	Settings
}

// changes returns how the settings changed, in order.
func (w *writer) changes() ([]change, error) {
	q, err := prepared(w.c, "select place, settings from settings order by place")
	if err != nil {
		return nil, err
	}
	var list []change
	for q.next() {
		c := change{place: uint64(q.ColumnInt64(0))}
		if err := json.Unmarshal([]byte(q.ColumnText(1)), &c.Settings); err != nil {
			_ = q.Reset()
			return nil, fmt.Errorf("settings: %w", err)
		}
		list = append(list, c)
	}
	return list, q.err
}

// decide records that messages after a place are decided by these settings.
func (w *writer) decide(place uint64, s Settings) error {
	list, err := w.changes()
	if err != nil {
		return err
	}
	for len(list) > 0 && list[len(list)-1].place > place {
		list = list[:len(list)-1]
	}
	if n := len(list); n > 0 && list[n-1].Settings == s {
		return exec(w.c, "delete from settings where place > ?", place)
	}
	text, err := json.Marshal(&s)
	if err != nil {
		return err
	}
	if err := exec(w.c, "delete from settings where place > ?", place); err != nil {
		return err
	}
	return exec(w.c, "insert or replace into settings (place, settings) values (?, ?)", place, string(text))
}
