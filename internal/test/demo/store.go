package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats-server/v2/server/archive"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/natsconn"
	"rollcall/internal/test/demo/fleet"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// store is a NATS server in this process, with the events of a fleet.
type store struct {
	url    string
	server *server.Server
	// kept says that the events are from an earlier start.
	kept bool
}

var subjects = func() rollcallv1.Subjects {
	s, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		panic(err)
	}
	return s
}()

// freshFor is how old the last event may be for a kept folder to be used again: while the demo
// is down, nobody comes or goes.
const freshFor = 6 * time.Hour

// marker is a file with the options that a folder was made with.
const marker = "demo.json"

// openStore starts the server and stores the fleet's events, unless the folder has them
// from an earlier start; then it sets the options' Now to that of then.
func openStore(ctx context.Context, o *options) (*store, error) {
	earlier, err := readMarker(o)
	if err != nil {
		return nil, err
	}
	if earlier != nil {
		s, err := startServer(o)
		if err != nil {
			return nil, err
		}
		if s.fresh(ctx) {
			s.kept, o.fleet.Now = true, earlier.Now
			return s, nil
		}
		s.close()
		log.Info("the kept events are too old, storing new ones", "folder", o.folder)
	}
	for _, name := range []string{marker, "nats", "data"} {
		if err := os.RemoveAll(filepath.Join(o.folder, name)); err != nil {
			return nil, err
		}
	}
	s, err := startServer(o)
	if err != nil {
		return nil, err
	}
	if err := s.fill(ctx, o); err != nil {
		s.close()
		return nil, fmt.Errorf("storing the fleet's events: %w", err)
	}
	return s, writeMarker(o)
}

// readMarker returns the options that the folder was made with, nil if it was made for
// another fleet, or not by this program.
func readMarker(o *options) (*fleet.Options, error) {
	text, err := os.ReadFile(filepath.Join(o.folder, marker))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var was markerOf
	if err := json.Unmarshal(text, &was); err != nil {
		return nil, fmt.Errorf("reading %s of %s: %w", marker, o.folder, err)
	}
	want := markerFor(o)
	want.Fleet.Now = was.Fleet.Now
	if !reflect.DeepEqual(was, want) {
		return nil, nil
	}
	return &was.Fleet, nil
}

type markerOf struct {
	Fleet      fleet.Options
	Incomplete bool
}

func markerFor(o *options) markerOf { return markerOf{o.fleet, o.incomplete} }

func writeMarker(o *options) error {
	text, err := json.Marshal(markerFor(o))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.folder, marker), text, 0o644)
}

// startServer starts a server that does not fsync, so that it is fast.
func startServer(o *options) (*store, error) {
	addr, err := freeAddress(o.nats)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	ns, err := server.NewServer(&server.Options{
		Host: host, Port: number, JetStream: true, StoreDir: filepath.Join(o.folder, "nats"),
		NoLog: true, NoSigs: true, DisableJetStreamBanner: true,
	})
	if err != nil {
		return nil, err
	}
	ns.Start()
	if !ns.ReadyForConnections(time.Minute) || !ns.JetStreamEnabled() {
		ns.Shutdown()
		return nil, fmt.Errorf("the NATS server did not start on %s with its store in %s", addr, o.folder)
	}
	return &store{url: ns.ClientURL(), server: ns}, nil
}

func (s *store) close() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

func (s *store) connect(options ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(s.url, append(options, nats.MaxReconnects(-1))...)
}

// fresh reports whether the stream has recent events.
func (s *store) fresh(ctx context.Context) bool {
	nc, err := s.connect()
	if err != nil {
		return false
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return false
	}
	stream, err := js.Stream(ctx, rollcallv1.DefaultEventsStream)
	return err == nil && time.Since(stream.CachedInfo().State.LastTime) < freshFor
}

// fill restores the stream of events from a backup that it makes up. So the receipts are those of
// a day, as if rollcall's stream had been there all the time: a machine is silent when
// nothing of it was received for long.
// Without machines there is no stream: rollcall makes it.
func (s *store) fill(ctx context.Context, o *options) error {
	o.fleet.Now = time.Now()
	if fleet.New(o.fleet).Len() == 0 {
		return nil
	}
	config, err := s.config(ctx)
	if err != nil {
		return err
	}
	read, write := io.Pipe()
	go func() { write.CloseWithError(writeBackup(write, o)) }()
	defer read.Close()
	start := time.Now()
	if _, err := s.server.GlobalAccount().RestoreStreamV2(config, read); err != nil {
		return err
	}
	log.Info("stored the events", "machines", fleet.New(o.fleet).Len(), "took", time.Since(start).Round(time.Millisecond))
	return nil
}

// config is the configuration of the stream of events as rollcall makes it.
func (s *store) config(ctx context.Context) (*server.StreamConfig, error) {
	nc, err := s.connect()
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	const template = "TEMPLATE" // not the name itself: its files are removed a little later
	info, err := natsconn.Prepare(ctx, js, natsconn.Streams{
		Subjects: subjects, Events: template,
		Reports: rollcallv1.DefaultReportsStream, DeadLetters: rollcallv1.DefaultDeadLettersStream,
		MaxAge: 2160 * time.Hour, AllowedLateness: 720 * time.Hour,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if err := js.DeleteStream(ctx, template); err != nil {
		return nil, err
	}
	text, err := json.Marshal(info.Config)
	if err != nil {
		return nil, err
	}
	config := new(server.StreamConfig)
	if err := json.Unmarshal(text, config); err != nil {
		return nil, err
	}
	config.Name = rollcallv1.DefaultEventsStream
	return config, nil
}

// The events of an incomplete fleet that were received in this time before Now are lost.
const lostFrom, lostTo = 70 * time.Minute, 65 * time.Minute

// writeBackup writes a backup of the stream, in the format of the server's version 2: an
// archive of its state, its messages, and an end.
func writeBackup(w io.Writer, o *options) error {
	packed := s2.NewWriter(w, s2.WriterUncompressed())
	archived := archive.NewWriter(packed)
	add := func(h archive.Header, data []byte) error {
		h.PayloadSize = int64(len(data))
		if err := archived.WriteHeader(&h); err != nil {
			return err
		}
		_, err := archived.Write(data)
		return err
	}
	// Its numbers are lower bounds.
	state, err := json.Marshal(server.StreamState{FirstSeq: 1, LastSeq: 1, Msgs: 1})
	if err != nil {
		return err
	}
	if err := add(archive.Header{Name: "state.json"}, state); err != nil {
		return err
	}
	var data []byte
	for m := range fleet.New(o.fleet).Events() {
		if ago := o.fleet.Now.Sub(m.Receipt.Time()); o.incomplete && ago < lostFrom && ago > lostTo {
			continue
		}
		data = wire.AppendJSON(data[:0], &m.Event)
		if err := add(archive.Header{Name: subjects.EventsOf(m.Event.Machine), Sequence: m.Place, Timestamp: int64(m.Receipt)}, data); err != nil {
			return err
		}
	}
	if err := add(archive.Header{}, nil); err != nil {
		return err
	}
	return errors.Join(archived.Flush(), packed.Close())
}
