package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/agent"
	"rollcall/internal/config"
)

// Status prints the state of the agent on this machine.
func Status(ctx context.Context, out io.Writer) error {
	s, err := dial(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	answer, err := s.ask([]byte(`{"ask":"status"}`))
	if err != nil {
		return err
	}
	st := answer.Status
	if st == nil {
		return errors.New("the agent gave no status")
	}
	server, sources := "not connected", "no: see the log"
	if st.Server != "" {
		server = st.Server
	}
	if st.Sources {
		sources = "yes"
	}
	facts := [][2]string{
		{"machine", st.Machine},
		{"server", server},
		{"sources read", sources},
		{"origin", st.Origin},
		{"events", fmt.Sprintf("%d, stored up to %d, waiting %d, dropped %d", st.Number, st.Stored, st.Waiting, st.Dropped)},
		{"spool", fmt.Sprintf("%d bytes", st.Bytes)},
		{"class unknown", fmt.Sprintf("%d sessions, taken for a person's", st.ClassUnknown)},
	}
	if st.Problem != "" {
		facts = append(facts, [2]string{"problem", st.Problem})
	}
	for _, fact := range facts {
		if _, err := fmt.Fprintf(out, "%-14s %s\n", fact[0], fact[1]); err != nil {
			return err
		}
	}
	return nil
}

// Tell tells the agent of the logins and logouts that it reads, one a line; or of the one
// that the variables of pam_exec name.
func Tell(ctx context.Context, in io.Reader, pam bool) error {
	if pam {
		event, err := ofPAM()
		if err != nil {
			return err
		}
		in = strings.NewReader(event)
	}
	s, err := dial(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	lines, n := bufio.NewScanner(in), 1
	for ; lines.Scan(); n++ {
		if len(strings.TrimSpace(lines.Text())) == 0 {
			continue
		}
		answer, err := s.ask(lines.Bytes())
		switch {
		case err != nil:
			return err
		case answer.Error != "":
			return fmt.Errorf("line %d: %s", n, answer.Error)
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("line %d: longer than 64 KiB", n)
	}
	return lines.Err()
}

// ofPAM returns the event of the variables that pam_exec sets. The session's id contains the
// number of the process that called pam_exec: the same process opens and closes a session.
func ofPAM() (string, error) {
	types := map[string]string{"open_session": "login", "close_session": "logout"}
	kind := types[os.Getenv("PAM_TYPE")]
	if kind == "" {
		return "", fmt.Errorf("PAM_TYPE=%q: want open_session or close_session", os.Getenv("PAM_TYPE"))
	}
	// sshd opens its session before it has a terminal, and says "ssh".
	terminal := strings.TrimPrefix(os.Getenv("PAM_TTY"), "/dev/")
	if terminal == "ssh" {
		terminal = ""
	}
	event := map[string]string{
		"type": kind, "user": os.Getenv("PAM_USER"), "session": fmt.Sprintf("%s-%d", os.Getenv("PAM_SERVICE"), os.Getppid()),
		"service": os.Getenv("PAM_SERVICE"), "remote": os.Getenv("PAM_RHOST"), "terminal": terminal,
	}
	b, err := json.Marshal(event)
	return string(b), err
}

// socket is a connection to the agent on this machine.
type socket struct {
	net.Conn
	answers *bufio.Reader
}

// askWithin is how long an answer may take.
const askWithin = 10 * time.Second

func dial(ctx context.Context) (*socket, error) {
	cfg, err := config.ReadAgent()
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", cfg.AgentSocket)
	if err != nil {
		return nil, fmt.Errorf("asking the agent: %w: is it running, and are you root? (ROLLCALL_AGENT_SOCKET=%s)", err, cfg.AgentSocket)
	}
	return &socket{conn, bufio.NewReader(conn)}, nil
}

// ask asks one question.
func (s *socket) ask(line []byte) (answer agent.Answer, err error) {
	if err := s.SetDeadline(time.Now().Add(askWithin)); err != nil {
		return answer, err
	}
	if _, err := s.Write(append(line[:len(line):len(line)], '\n')); err != nil {
		return answer, fmt.Errorf("asking the agent: %w", err)
	}
	text, err := s.answers.ReadBytes('\n')
	if errors.Is(err, io.EOF) {
		err = errors.New("it does not answer: only root may ask")
	}
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil {
		return answer, fmt.Errorf("asking the agent: %w", err)
	}
	return answer, nil
}
