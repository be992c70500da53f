// Package journal reads the journal of systemd: with journalctl, as reading its files
// takes libsystemd.
package journal

import (
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Record is one record of the journal: the fields that an agent asks for.
type Record struct {
	Cursor string
	Boot   string // the boot's id
	// Time is when it happened: the clock of the program that wrote it, or else of the
	// journal.
	Time      time.Time
	MessageID string
	Message   string
	// Session is logind's id of a session, User its user's name, and Leader the process
	// that it began with.
	Session string
	User    string
	Leader  int
	// Unit is the unit of the program that wrote it, and PID its process.
	Unit    string
	PID     int
	UID     int    // -1: unknown
	Program string // the name of its process
	// Class is of the session; empty before systemd 258, of which this is taken from the
	// source.
	Class string
}

// fields are the fields of a record that are read. journalctl writes each value as a
// string, as a list of bytes if it is not UTF-8, as a list of either if there are several,
// and as null if it is too long.
type fields struct {
	Cursor    text `json:"__CURSOR"`
	Boot      text `json:"_BOOT_ID"`
	Source    text `json:"_SOURCE_REALTIME_TIMESTAMP"`
	Received  text `json:"__REALTIME_TIMESTAMP"`
	MessageID text `json:"MESSAGE_ID"`
	Message   text `json:"MESSAGE"`
	Session   text `json:"SESSION_ID"`
	User      text `json:"USER_ID"`
	Leader    text `json:"LEADER"`
	Unit      text `json:"_SYSTEMD_UNIT"`
	PID       text `json:"_PID"`
	UID       text `json:"_UID"`
	Program   text `json:"_COMM"`
	Class     text `json:"SESSION_CLASS"`
}

// text is a value of a field; of several, the first.
type text string

func (t *text) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	value, err := d.ReadValue()
	if err != nil {
		return err
	}
	switch value.Kind() {
	case '"':
		return json.Unmarshal(value, (*string)(t))
	case '[':
		var bytes []int
		if json.Unmarshal(value, &bytes) == nil {
			return t.setBytes(bytes)
		}
		var several []text
		if err := json.Unmarshal(value, &several); err != nil {
			return err
		}
		if len(several) > 0 {
			*t = several[0]
		}
	}
	return nil
}

func (t *text) setBytes(bytes []int) error {
	b := make([]byte, len(bytes))
	for i, c := range bytes {
		if c < 0 || c > 255 {
			return fmt.Errorf("byte %d: out of range", c)
		}
		b[i] = byte(c)
	}
	*t = text(b)
	return nil
}

// parse reads a line of "journalctl -o json".
func parse(line []byte) (Record, error) {
	var f fields
	if err := json.Unmarshal(line, &f, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)); err != nil {
		return Record{}, fmt.Errorf("reading a record of the journal: %w", err)
	}
	r := Record{
		Cursor: string(f.Cursor), Boot: string(f.Boot), MessageID: string(f.MessageID), Message: string(f.Message),
		Session: string(f.Session), User: string(f.User), Unit: string(f.Unit), Program: string(f.Program), Class: string(f.Class),
	}
	r.Leader, _ = strconv.Atoi(string(f.Leader))
	r.PID, _ = strconv.Atoi(string(f.PID))
	var err error
	if r.UID, err = strconv.Atoi(string(f.UID)); err != nil {
		r.UID = -1
	}
	micros, err := strconv.ParseInt(string(f.Source), 10, 64)
	if err != nil {
		micros, err = strconv.ParseInt(string(f.Received), 10, 64)
	}
	switch {
	case err != nil:
		return r, fmt.Errorf("reading a record of the journal: no time: %w", err)
	case r.Cursor == "":
		return r, fmt.Errorf("reading a record of the journal: no cursor")
	}
	r.Time = time.UnixMicro(micros)
	return r, nil
}
