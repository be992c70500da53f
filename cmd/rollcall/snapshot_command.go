package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"rollcall/internal/config"
	"rollcall/internal/roster"
	"rollcall/internal/snapshot"
)

type snapshotCmd struct {
	Inspect inspectCmd `cmd:"" help:"Verify a snapshot, and print its header."`
}

type inspectCmd struct {
	File   string `arg:"" help:"A snapshot file. The service keeps them in the folder snapshots of its data folder."`
	Output string `enum:"text,json" default:"text" placeholder:"FORMAT" help:"text, or json: one JSON object."`
}

// Help is the text of "rollcall snapshot inspect --help" before the flags.
func (inspectCmd) Help() string {
	return `Reads the whole file and verifies every checksum; the service may be running or not. Exit code 0 means that the snapshot is valid. If it is damaged, or in a format that only a newer rollcall can read, the command prints what it can read of the header and ends with exit code 1.

Examples:

    rollcall snapshot inspect snapshot-00000000000000000006.rollcall`
}

// Run verifies the file, prints what is in it, and returns what is wrong with it.
func (c *inspectCmd) Run(std streams) error {
	in, err := inspect(c.File)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if c.Output == "json" {
		err = in.writeJSON(std.out)
	} else {
		err = in.writeText(std.out)
	}
	if err == nil && in.problem != nil {
		err = fmt.Errorf("snapshot: %s: %w", c.File, in.problem)
	}
	return err
}

// The states of a file.
const (
	valid   = "valid"
	damaged = "damaged"
	newer   = "newer" // only a newer program can read it
)

// inspection is the result of inspecting a file.
type inspection struct {
	file     string
	size     int64
	validity string
	problem  error // nil when it is valid
	info     snapshot.Info
}

// inspect reads a file. The error is one of reading it; what is wrong with its content is
// in the inspection.
func inspect(path string) (*inspection, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return nil, err
	}
	in := &inspection{file: path, size: stat.Size(), validity: valid}
	in.info, in.problem = snapshot.Inspect(f)
	if unread, failed := errors.AsType[*os.PathError](in.problem); failed {
		return nil, unread
	}
	switch {
	case errors.Is(in.problem, snapshot.ErrNewer):
		in.validity = newer
	case in.problem != nil:
		in.validity = damaged
	}
	return in, nil
}

// hasHeader reports whether the header could be read.
func (in *inspection) hasHeader() bool { return in.info.Header != snapshot.Header{} }

// writeText writes one line per fact, wrapped at 80 columns. The path of the file is never
// wrapped.
func (in *inspection) writeText(w io.Writer) error {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		const column = 14
		for i, line := range config.Wrap(fmt.Sprintf(format, args...), helpWidth-column) {
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(&b, "%-*s%s\n", column, name, line)
		}
	}
	fmt.Fprintf(&b, "%-14s%s\n", "file", quoteUnprintable(in.file))
	if in.info.Format > 0 {
		row("format", "%d", in.info.Format)
	}
	row("validity", "%s", in.validity)
	if in.hasHeader() {
		in.writeHeader(row)
	}
	row("size", "%d bytes", in.size)
	if in.validity == valid {
		row("state_digest", "%x", in.info.StateDigest[:])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (in *inspection) writeHeader(row func(name, format string, args ...any)) {
	h, st := &in.info.Header, &in.info.Status
	row("written", "%s by rollcall %s", h.Written.UTC().Format(time.RFC3339Nano), quoteUnprintable(h.Version))
	row("place", "%d", st.Position.Place)
	row("sequence", "%d", st.Position.Sequence())
	row("base", "%d", st.Position.Base)
	row("stream", "%s, created %s", quoteUnprintable(st.Position.Proof.Stream), st.Position.Proof.Created)
	row("fates", "%s", list(roster.AllFates(), func(f roster.Fate) uint64 { return st.Fates[f] }))
	row("roster", "machines %d, users %d, sessions %d", st.Machines, st.Users, st.Sessions)
	row("losses", "%s", describeLosses(st))
	s := h.Settings
	row("settings", "max_skew %v, allowed_lateness %v, max_machines %d, max_sessions %d, max_sessions_per_machine %d",
		s.MaxSkew, s.AllowedLateness, s.MaxMachines, s.MaxSessions, s.MaxSessionsPerMachine)
	if s.Sources != "" {
		row("sources", "%s", quoteUnprintable(s.Sources))
	}
}

func describeLosses(st *roster.Status) string {
	var lost []roster.Loss
	for _, l := range roster.AllLosses() {
		if st.Losses[l] > 0 {
			lost = append(lost, l)
		}
	}
	if len(lost) == 0 {
		return "none"
	}
	places := list(lost, func(l roster.Loss) uint64 { return st.Losses[l] })
	return fmt.Sprintf("%s (the last place of each), affecting %d machines", places, st.Unsettled)
}

// list returns "applied 5, superseded 1".
func list[T fmt.Stringer](all []T, count func(T) uint64) string {
	var parts []string
	for _, one := range all {
		parts = append(parts, fmt.Sprintf("%s %d", one, count(one)))
	}
	return strings.Join(parts, ", ")
}

// quoteUnprintable quotes text from outside if it could control a terminal.
func quoteUnprintable(s string) string {
	//guard:false "a hostile file does nothing to a terminal" TestInspectHostile
	if quoted := strconv.Quote(s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}

// inspectionJSON is the object that --output json prints. Unknown values are omitted.
type inspectionJSON struct {
	File        string `json:"file"`
	Format      uint32 `json:"format,omitzero"`
	Validity    string `json:"validity"`
	Problem     string `json:"problem,omitzero"`
	*headerJSON `json:",inline"`
	Size        int64        `json:"size"`
	StateDigest *roster.Hash `json:"state_digest,omitzero"`
}

type headerJSON struct {
	Written   time.Time         `json:"written"`
	Version   string            `json:"version"`
	Place     uint64            `json:"place"`
	Sequence  uint64            `json:"sequence"`
	Base      int64             `json:"base"`
	Stream    string            `json:"stream"`
	Created   time.Time         `json:"created"`
	Fates     map[string]uint64 `json:"fates"`
	Machines  int               `json:"machines"`
	Users     int               `json:"users"`
	Sessions  int               `json:"sessions"`
	Losses    map[string]uint64 `json:"losses"`
	Unsettled int               `json:"unsettled"`
	Settings  settingsJSON      `json:"settings"`
}

// settingsJSON has the settings in the format of the variables.
type settingsJSON struct {
	MaxSkew               string `json:"max_skew"`
	AllowedLateness       string `json:"allowed_lateness"`
	MaxMachines           int    `json:"max_machines"`
	MaxSessions           int    `json:"max_sessions"`
	MaxSessionsPerMachine int    `json:"max_sessions_per_machine"`
	Sources               string `json:"sources,omitzero"`
}

func settingsOf(s roster.Settings) settingsJSON {
	return settingsJSON{
		MaxSkew: s.MaxSkew.String(), AllowedLateness: s.AllowedLateness.String(),
		MaxMachines: s.MaxMachines, MaxSessions: s.MaxSessions, MaxSessionsPerMachine: s.MaxSessionsPerMachine,
		Sources: s.Sources,
	}
}

func (in *inspection) writeJSON(w io.Writer) error {
	j := inspectionJSON{File: in.file, Format: in.info.Format, Validity: in.validity, Size: in.size}
	if in.problem != nil {
		j.Problem = in.problem.Error()
	} else {
		j.StateDigest = &in.info.StateDigest
	}
	if in.hasHeader() {
		j.headerJSON = in.header()
	}
	b, err := json.Marshal(&j, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return fmt.Errorf("snapshot: encoding: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

func (in *inspection) header() *headerJSON {
	h, st := &in.info.Header, &in.info.Status
	j := &headerJSON{
		Written: h.Written.UTC(), Version: h.Version,
		Place: st.Position.Place, Sequence: st.Position.Sequence(), Base: st.Position.Base,
		Stream: st.Position.Proof.Stream, Created: st.Position.Proof.Created.Time(),
		Fates: make(map[string]uint64), Losses: make(map[string]uint64),
		Machines: st.Machines, Users: st.Users, Sessions: st.Sessions, Unsettled: st.Unsettled,
		Settings: settingsOf(h.Settings),
	}
	for _, f := range roster.AllFates() {
		j.Fates[f.String()] = st.Fates[f]
	}
	for _, l := range roster.AllLosses() {
		if st.Losses[l] > 0 {
			j.Losses[l.String()] = st.Losses[l]
		}
	}
	return j
}
