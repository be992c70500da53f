// Package logind asks systemd's login manager, over D-Bus, which sessions there are.
package logind

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	service  = "org.freedesktop.login1"
	manager  = service + ".Manager"
	session  = service + ".Session"
	path     = dbus.ObjectPath("/org/freedesktop/login1")
	systemd1 = "org.freedesktop.systemd1"
)

// Session is what logind says of a session.
type Session struct {
	ID     string
	User   string
	UID    uint32
	Since  time.Time
	TTY    string
	Remote string // the host that it comes from; empty: none
	// Service is the PAM service that opened it, such as sshd.
	Service string
	Leader  uint32
	Class   string // such as user, greeter, manager
	State   string // online, active or closing
}

// Closing is the State of a session whose user has logged out, while processes of it are
// left.
const Closing = "closing"

// Conn is a connection to logind. Its methods may be called from several goroutines.
type Conn struct {
	bus     *dbus.Conn
	signals chan *dbus.Signal
}

// Dial connects to the system bus.
func Dial(ctx context.Context) (*Conn, error) {
	bus, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("connecting to D-Bus: %w", err)
	}
	c := &Conn{bus, make(chan *dbus.Signal, 1000)}
	bus.Signal(c.signals)
	err = bus.AddMatchSignalContext(ctx, dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchInterface("org.freedesktop.DBus"),
		dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, service))
	if err != nil {
		bus.Close()
		return nil, fmt.Errorf("connecting to D-Bus: asking for signals: %w", err)
	}
	return c, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.bus.Close() }

// Restarted waits until logind has started again. It returns ErrLost when the connection
// has ended.
func (c *Conn) Restarted(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s, ok := <-c.signals:
			if !ok {
				return ErrLost
			}
			if owner, _ := argument[string](s.Body, 2); owner != "" {
				return nil
			}
		}
	}
}

// ErrLost says that the connection to D-Bus has ended.
var ErrLost = errors.New("the connection to D-Bus has ended")

func argument[T any](body []any, i int) (v T, ok bool) {
	if i < len(body) {
		v, ok = body[i].(T)
	}
	return v, ok
}

// List returns all sessions that logind has.
func (c *Conn) List(ctx context.Context) ([]Session, error) {
	var list []struct {
		ID   string
		UID  uint32
		User string
		Seat string
		Path dbus.ObjectPath
	}
	if err := c.bus.Object(service, path).CallWithContext(ctx, manager+".ListSessions", 0).Store(&list); err != nil {
		return nil, fmt.Errorf("asking logind for its sessions: %w", err)
	}
	sessions := make([]Session, 0, len(list))
	for _, l := range list {
		s, err := c.properties(ctx, l.Path)
		if errors.Is(err, ErrGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		sessions = append(sessions, s)
	}
	return sessions, nil
}

// ErrGone says that logind has no such session any more.
var ErrGone = errors.New("no such session")

// Session returns a session by its id. The error is ErrGone if there is none.
func (c *Conn) Session(ctx context.Context, id string) (Session, error) {
	var at dbus.ObjectPath
	if err := c.bus.Object(service, path).CallWithContext(ctx, manager+".GetSession", 0, id).Store(&at); err != nil {
		return Session{}, callError(err)
	}
	return c.properties(ctx, at)
}

// properties reads all properties of a session.
func (c *Conn) properties(ctx context.Context, at dbus.ObjectPath) (Session, error) {
	var p map[string]dbus.Variant
	if err := c.bus.Object(service, at).CallWithContext(ctx, "org.freedesktop.DBus.Properties.GetAll", 0, session).Store(&p); err != nil {
		return Session{}, callError(err)
	}
	s := Session{
		ID: value[string](p, "Id"), User: value[string](p, "Name"), TTY: value[string](p, "TTY"),
		Remote: value[string](p, "RemoteHost"), Service: value[string](p, "Service"),
		Leader: value[uint32](p, "Leader"), Class: value[string](p, "Class"), State: value[string](p, "State"),
		Since: time.UnixMicro(int64(value[uint64](p, "Timestamp"))),
	}
	if user, ok := p["User"].Value().([]any); ok {
		s.UID, _ = argument[uint32](user, 0)
	}
	return s, nil
}

func value[T any](p map[string]dbus.Variant, name string) T {
	v, _ := p[name].Value().(T)
	return v
}

// callError returns ErrGone if that is what an error says.
func callError(err error) error {
	var refused dbus.Error
	if errors.As(err, &refused) {
		switch refused.Name {
		case service + ".NoSuchSession", "org.freedesktop.DBus.Error.UnknownObject", "org.freedesktop.DBus.Error.UnknownMethod":
			return ErrGone
		}
	}
	return fmt.Errorf("asking logind for a session: %w", err)
}

// ShuttingDown reports whether the machine is shutting down.
func (c *Conn) ShuttingDown(ctx context.Context) bool {
	if v, err := c.bus.Object(service, path).GetProperty(manager + ".PreparingForShutdown"); err == nil {
		if preparing, ok := v.Value().(bool); ok && preparing {
			return true
		}
	}
	var state string
	v, err := c.bus.Object(systemd1, "/org/freedesktop/systemd1").GetProperty(systemd1 + ".Manager.SystemState")
	if err == nil {
		state, _ = v.Value().(string)
	}
	return state == "stopping"
}

// UnitOf returns the unit of a process; empty: none.
func (c *Conn) UnitOf(ctx context.Context, pid uint32) string {
	var at dbus.ObjectPath
	if err := c.bus.Object(systemd1, "/org/freedesktop/systemd1").CallWithContext(ctx, systemd1+".Manager.GetUnitByPID", 0, pid).Store(&at); err != nil {
		return ""
	}
	v, err := c.bus.Object(systemd1, at).GetProperty(systemd1 + ".Unit.Id")
	if err != nil {
		return ""
	}
	id, _ := v.Value().(string)
	return id
}
