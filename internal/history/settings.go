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
func (w *writer) decide(place uint64, s Settings) (err error) {
	text, err := json.Marshal(&s)
	if err != nil {
		return err
	}
	if err := exec(w.c, "begin immediate"); err != nil {
		return err
	}
	defer func() { err = w.end(err) }()
	if err := exec(w.c, "delete from settings where place > ?", place); err != nil {
		return err
	}
	// The first are those of the message before, too: others may follow at the same place.
	if err := exec(w.c, `insert or replace into settings (place, settings) select iif(exists (select 1 from settings), ?1, max(?1 - 1, 0)), ?2
		where ?2 is not (select settings from settings order by place desc limit 1)`, place, string(text)); err != nil {
		return err
	}
	w.state.Lateness = max(w.state.Lateness, int64(s.AllowedLateness))
	return w.saveState()
}
