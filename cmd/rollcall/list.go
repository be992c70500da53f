package main

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// column is a column of a list of rows.
type column[R any] struct {
	// field is its name in csv, tsv and jsonl; empty: it is shown on terminals only.
	// value is its value there: a string, a bool, an integer, a list of names, a time, which
	// is in UTC, or nil. A zero time, and nil, are not known: they are empty, and null.
	field string
	value func(*R) any
	// title is its header on terminals; empty: it is not shown there. cell is its text
	// there; nil: the value.
	title string
	cell  func(*R) string
	// colour is that of a cell; nil: plain. spare: see table.
	colour func(*R) colour
	spare  bool
}

// listing prints rows, page by page, in the format that the user asked for.
type listing[R any] struct {
	std     streams
	format  string
	width   int
	times   *zoneFlags
	columns []column[R] // to be printed
	table   *table
	csv     *csv.Writer
	out     *bufio.Writer
	rows    int // printed so far
}

// newListing returns a listing with these columns. The error is one of usage.
func newListing[R any](std streams, o *outputFlags, times *zoneFlags, columns []column[R]) (*listing[R], error) {
	l := &listing[R]{std: std, format: o.format(std), width: o.width(std.out), times: times, out: bufio.NewWriter(std.out)}
	var all []string
	for i := range columns {
		if columns[i].field != "" {
			all = append(all, columns[i].field)
		}
	}
	fields, err := o.checkFields(std, all)
	if err != nil {
		return nil, err
	}
	if l.format == "text" {
		l.showOnTerminal(columns)
		return l, nil
	}
	for _, field := range fields {
		i := slices.IndexFunc(columns, func(c column[R]) bool { return c.field == field })
		l.columns = append(l.columns, columns[i])
	}
	if l.format == "csv" {
		l.csv = csv.NewWriter(l.out)
		l.csv.Write(fields) //nolint:errcheck // Error returns it
	}
	return l, nil
}

func (l *listing[R]) showOnTerminal(columns []column[R]) {
	l.table = newTable()
	for i := range columns {
		c := &columns[i]
		if c.title == "" {
			continue
		}
		l.columns = append(l.columns, *c)
		l.table.header = append(l.table.header, c.title)
		if c.spare {
			l.table.spare = c.title
		}
	}
	l.table.colours = colours(l.std.out)
}

// print prints a page of rows.
func (l *listing[R]) print(rows []R) error {
	l.rows += len(rows)
	if l.table != nil {
		for i := range rows {
			l.addToTable(&rows[i])
		}
		return l.table.write(l.std.out, l.width)
	}
	for i := range rows {
		if err := l.printRow(&rows[i]); err != nil {
			return err
		}
	}
	return l.flush()
}

// flush writes what is printed so far, even if it is only a header.
func (l *listing[R]) flush() error {
	if l.csv != nil {
		l.csv.Flush()
		if err := l.csv.Error(); err != nil {
			return err
		}
	}
	return l.out.Flush()
}

func (l *listing[R]) addToTable(row *R) {
	cells, shades := make([]string, len(l.columns)), make([]colour, len(l.columns))
	for i := range l.columns {
		c := &l.columns[i]
		if c.cell != nil {
			cells[i] = c.cell(row)
		} else if at, ok := c.value(row).(time.Time); ok && !at.IsZero() {
			cells[i] = l.times.time(at)
		} else {
			cells[i] = dataText(c.value(row))
		}
		if c.colour != nil {
			shades[i] = c.colour(row)
		}
	}
	l.table.addPainted(cells, shades)
}

func (l *listing[R]) printRow(row *R) error {
	if l.format == "jsonl" {
		return l.printObject(row)
	}
	cells := make([]string, len(l.columns))
	for i := range l.columns {
		cells[i] = oneLine(dataText(l.columns[i].value(row)))
	}
	if l.format == "csv" {
		return l.csv.Write(cells)
	}
	_, err := fmt.Fprintln(l.out, strings.Join(cells, "\t"))
	return err
}

// printObject prints a row as a JSON object, with its keys in the order of the columns.
func (l *listing[R]) printObject(row *R) error {
	e := jsontext.NewEncoder(l.out, jsontext.AllowInvalidUTF8(true))
	tokens := func(all ...jsontext.Token) (err error) {
		for _, token := range all {
			if err == nil {
				err = e.WriteToken(token)
			}
		}
		return err
	}
	if err := tokens(jsontext.BeginObject); err != nil {
		return err
	}
	for i := range l.columns {
		value := l.columns[i].value(row)
		if at, ok := value.(time.Time); ok && at.IsZero() {
			value = nil
		} else if ok {
			value = at.UTC()
		}
		if err := tokens(jsontext.String(l.columns[i].field)); err != nil {
			return err
		}
		if err := json.MarshalEncode(e, value); err != nil {
			return err
		}
	}
	return tokens(jsontext.EndObject)
}

// dataText returns a value as text.
func dataText(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case []string:
		return joined(v)
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprint(value)
}

// oneLine replaces control characters, which no name of rollcall's has: a tab or the end of
// a line would be read as the end of a value.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
