package report

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/go-json-experiment/json"
)

// Request is a question for a report: the message ReportRequest of the wire
// contract, in JSON.
type Request struct {
	// Cursor is from an earlier answer; empty: from the beginning.
	Cursor string `json:"cursor,omitzero"`
	// Limit is how many machines the answer may have at most; 0: as many as
	// fit.
	Limit int `json:"limit,omitzero"`
}

// question is a request that was found good.
type question struct {
	after cursor
	limit int
}

// maxRequest is the size of the largest request in bytes: the longest cursor
// fits several times.
const maxRequest = 4 << 10

// parseRequest reads a request. Its errors name the field and are for the
// client.
func parseRequest(data []byte) (question, error) {
	q := question{limit: math.MaxInt}
	if len(data) > maxRequest {
		return q, fmt.Errorf("request: %d bytes, at most %d", len(data), maxRequest)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return q, nil
	}
	var wire *struct {
		Cursor *string `json:"cursor"`
		Limit  *uint32 `json:"limit"`
	}
	if err := json.Unmarshal(data, &wire, json.RejectUnknownMembers(true)); err != nil {
		return q, requestError(err)
	}
	if wire == nil {
		return q, errors.New("request: want a JSON object or nothing, got null")
	}
	if wire.Limit != nil {
		if q.limit = int(*wire.Limit); q.limit == 0 {
			return q, errors.New("limit: want 1 or more, or leave it out")
		}
	}
	if wire.Cursor == nil {
		return q, nil
	}
	var err error
	q.after, err = parseCursor(*wire.Cursor)
	return q, err
}

// requestError says what is wrong with a request's JSON in the client's words.
func requestError(err error) error {
	semantic, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		return fmt.Errorf("request: want a JSON object or nothing: %w", err)
	}
	field := semantic.JSONPointer.LastToken()
	switch {
	case errors.Is(err, json.ErrUnknownName):
		return fmt.Errorf("%s: unknown key: want cursor or limit", excerpt(field))
	case field == "limit":
		return errors.New("limit: want a whole number from 1 to 4294967295")
	case field == "cursor":
		return errors.New("cursor: want a string")
	}
	return errors.New("request: want a JSON object or nothing")
}

// excerpt bounds what is said back of a client's own words, and leaves only
// what may stand in a header.
func excerpt(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most] + "…"
	}
	return fmt.Sprintf("%q", s)
}
