//go:build linux

package machine

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Dial connects to an address of the machine, such as "127.0.0.1:22".
func (m *Machine) Dial(address string) (conn net.Conn, err error) {
	err = m.parts.inNetwork(func() error {
		conn, err = net.DialTimeout("tcp", address, patience)
		return err
	})
	return conn, err
}

// Forward lets the machine's programs reach, at the same address, what listens on an
// address of the host within 127.0.0.0/8. This lasts until the test ends, through later
// boots, too.
func (m *Machine) Forward(address string) {
	m.t.Helper()
	var listener net.Listener
	err := m.parts.inNetwork(func() (err error) {
		listener, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		m.t.Fatalf("forwarding %s from %s: %v", address, m.name, err)
	}
	m.t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go forward(conn, address)
		}
	}()
}

// connect gives each machine an address on one network: 10.86.0.1 to the first, and so on.
// Its arguments are the process of each machine's parts; the first machine has the bridge.
const connect = `
	first=$1 n=0
	inside() { nsenter --net="/proc/$1/ns/net" ip "${@:2}"; }
	inside "$first" link add rollcall type bridge
	inside "$first" link set rollcall up
	for machine; do
		n=$((n + 1))
		if [ "$machine" = "$first" ]; then
			inside "$first" address add "10.86.0.$n/24" dev rollcall
			continue
		fi
		inside "$first" link add "port$n" type veth peer name eth0 netns "$machine"
		inside "$first" link set "port$n" master rollcall up
		inside "$machine" address add "10.86.0.$n/24" dev eth0
		inside "$machine" link set eth0 up
	done`

// Connect connects up to 254 machines by a network, on which they reach each other by their
// names. It stays when they are turned off. If the kernel has no such networks, the test is
// skipped.
func Connect(machines ...*Machine) {
	t := machines[0].t
	t.Helper()
	args, hosts := []string{"-euc", connect, "connect"}, ""
	for i, m := range machines {
		args = append(args, strconv.Itoa(m.parts.pid))
		hosts += fmt.Sprintf("10.86.0.%d %s\n", i+1, m.name)
	}
	if out, err := exec.Command("bash", args...).CombinedOutput(); err != nil {
		without(t, fmt.Sprintf("machines cannot be connected (modprobe bridge veth): %v: %s", err, out))
	}
	for _, m := range machines {
		m.Run("bash", "-euc", `printf %s "$0" >>/etc/hosts`, hosts)
	}
}

// forward passes on what is sent, in both directions, until one side ends the connection.
func forward(inside net.Conn, address string) {
	defer inside.Close()
	outside, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer outside.Close()
	ended := make(chan struct{}, 2)
	copied := func(to io.Writer, from io.Reader) {
		_, _ = io.Copy(to, from)
		ended <- struct{}{}
	}
	go copied(outside, inside)
	go copied(inside, outside)
	<-ended
}

// inNetwork runs a function whose thread is in the machine's network. Sockets that it
// opens stay there.
func (p *parts) inNetwork(do func() error) error {
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer own.Close()
	there, err := os.Open(p.namespace("net"))
	if err != nil {
		return err
	}
	defer there.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering a network: %w", err)
	}
	defer func() {
		if err := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); err != nil {
			panic(err) // the process would go on with a thread in the wrong network
		}
	}()
	return do()
}
