package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/roster"
	"rollcall/internal/wire"
)

// On the socket each line is a question in JSON, and is answered by one: an event that the
// asker tells of, or {"ask":"status"}. Only root is answered.

// Answer is what a question on the socket is answered.
type Answer struct {
	// Error is why an event was refused; empty: it is on disk.
	Error  string  `json:"error,omitzero"`
	Status *Status `json:"status,omitzero"`
}

const (
	// maxAsked is how long a question may be, in bytes; maxConns, how many may be asked
	// at a time; askedWithin, how long one may take to come.
	maxAsked    = 64 << 10
	maxConns    = 64
	askedWithin = 10 * time.Second
)

// Listen listens on the socket at path, and answers questions until the context is done.
func (a *Agent) Listen(ctx context.Context, path string) error {
	if other, err := new(net.Dialer).DialContext(ctx, "unix", path); err == nil {
		other.Close()
		return fmt.Errorf("listening for local programs: another agent answers on %s: stop it, or set ROLLCALL_AGENT_SOCKET", path)
	}
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.Remove(path) // that of an earlier life
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("listening for local programs: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("listening for local programs: %w", err)
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	free := make(chan struct{}, maxConns)
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("listening for local programs: %w", err)
		}
		free <- struct{}{}
		go func() {
			defer func() { <-free }()
			defer conn.Close()
			a.answerAll(ctx, conn)
		}()
	}
}

// answerAll answers the questions on a connection.
func (a *Agent) answerAll(ctx context.Context, conn *net.UnixConn) {
	uid, err := peer(conn)
	may := err == nil && (uid == 0 || uid == os.Geteuid())
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxAsked)
	for conn.SetDeadline(time.Now().Add(askedWithin)) == nil && lines.Scan() {
		answer := Answer{Error: "only root may ask"}
		//guard:true "only root tells of logins" TestSocketOfOthers
		if may {
			answer = a.answer(ctx, lines.Bytes())
		}
		b, err := json.Marshal(answer)
		if err == nil {
			_, err = conn.Write(append(b, '\n'))
		}
		if err != nil || !may {
			return
		}
	}
}

// answer answers a question.
func (a *Agent) answer(ctx context.Context, line []byte) Answer {
	var question struct {
		Ask string `json:"ask"`
	}
	if json.Unmarshal(line, &question) == nil && question.Ask == "status" {
		status := a.Status()
		return Answer{Status: &status}
	}
	t := tell{answer: make(chan error, 1)}
	if err := a.parse(line, &t.event); err != nil {
		return Answer{Error: err.Error()}
	}
	if err := send(ctx, a.tells, t); err != nil {
		return Answer{Error: "the agent ends"}
	}
	select {
	case err := <-t.answer:
		if err != nil {
			return Answer{Error: err.Error()}
		}
		return Answer{}
	case <-ctx.Done():
		return Answer{Error: "the agent ends"}
	}
}

// parse reads an event that may lack its date and machine.
func (a *Agent) parse(line []byte, e *roster.Event) error {
	var members map[string]any
	if err := json.Unmarshal(line, &members); err != nil {
		return fmt.Errorf("not one JSON object: %w", err)
	}
	if members == nil { // null
		return errors.New("not one JSON object")
	}
	_, dated := members["date"]
	if !dated {
		members["date"] = a.clock.now().UTC().Format(time.RFC3339Nano)
	}
	if _, named := members["machine"]; !named {
		members["machine"] = a.Machine
	}
	delete(members, "origin")
	delete(members, "number")
	whole, err := json.Marshal(members)
	if err != nil {
		return err
	}
	if refusal := wire.NewDecoder(a.Subjects).Decode("", "", whole, e); refusal != nil {
		return refusal
	}
	return nil
}
