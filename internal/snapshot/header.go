package snapshot

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"rollcall/internal/roster"
)

// compression is how the body is compressed.
const compression = "zstd"

// headerJSON is a Header as it is stored in the file.
type headerJSON struct {
	Written     time.Time         `json:"written"`
	Version     string            `json:"version"`
	Compression string            `json:"compression"`
	Settings    roster.Settings   `json:"settings"`
	Position    roster.Position   `json:"position"`
	Fates       map[string]uint64 `json:"fates"`
	Receipt     roster.Time       `json:"receipt"`
	Losses      map[string]uint64 `json:"losses"`
	Machines    int               `json:"machines"`
	Users       int               `json:"users"`
	Several     int               `json:"users_on_several_machines"`
	Sessions    int               `json:"sessions"`
	Unsettled   int               `json:"unsettled"`
	Missing     uint64            `json:"missing,omitzero"` // since format 3
}

// headerOptions: without the first option, encoding a duration is an error; without
// the second, the keys of fates and losses are in random order.
var headerOptions = json.JoinOptions(jsonv1.FormatDurationAsNano(true), json.Deterministic(true))

func (h *Header) encode() ([]byte, error) {
	st := &h.Status
	j := headerJSON{
		Written: h.Written, Version: h.Version, Compression: compression,
		Settings: h.Settings, Position: st.Position,
		Fates: make(map[string]uint64), Receipt: st.Receipt, Losses: make(map[string]uint64),
		Machines: st.Machines, Users: st.Users, Several: st.Several, Sessions: st.Sessions, Unsettled: st.Unsettled, Missing: st.Missing,
	}
	for _, f := range roster.AllFates() {
		j.Fates[f.String()] = st.Fates[f]
	}
	for _, l := range roster.AllLosses() {
		if st.Losses[l] > 0 {
			j.Losses[l.String()] = st.Losses[l]
		}
	}
	b, err := json.Marshal(&j, headerOptions)
	if err == nil && len(b) > maxHeader {
		err = fmt.Errorf("%d bytes, at most %d", len(b), maxHeader)
	}
	return b, err
}

func decodeHeader(b []byte) (Header, error) {
	var j headerJSON
	if err := json.Unmarshal(b, &j, headerOptions); err != nil {
		return Header{}, err
	}
	if j.Compression != compression {
		return Header{}, fmt.Errorf("compression %q: unknown", j.Compression)
	}
	if s := j.Settings; min(s.MaxSkew, s.AllowedLateness) < 0 || min(s.MaxMachines, s.MaxSessions, s.MaxSessionsPerMachine) < 0 {
		return Header{}, errors.New("settings: negative value")
	}
	if _, err := roster.ParseSpeakers(j.Settings.Sources); err != nil {
		return Header{}, fmt.Errorf("settings: sources: %w", err)
	}
	h := Header{Written: j.Written, Version: j.Version, Settings: j.Settings, Status: roster.Status{
		Position: j.Position, Receipt: j.Receipt,
		Machines: j.Machines, Users: j.Users, Several: j.Several, Sessions: j.Sessions, Unsettled: j.Unsettled, Missing: j.Missing,
	}}
	for _, f := range roster.AllFates() {
		h.Status.Fates[f] = pop(j.Fates, f.String())
	}
	for _, l := range roster.AllLosses() {
		h.Status.Losses[l] = pop(j.Losses, l.String())
	}
	for name := range j.Fates {
		return Header{}, fmt.Errorf("fate %q: unknown", name)
	}
	for name := range j.Losses {
		return Header{}, fmt.Errorf("loss %q: unknown", name)
	}
	return h, nil
}

// pop removes a number from the map and returns it, so that in the end only
// unknown names are left.
func pop(m map[string]uint64, name string) uint64 {
	n := m[name]
	delete(m, name)
	return n
}
