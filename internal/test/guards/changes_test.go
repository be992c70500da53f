package guards

const (
	watchMissed = "./cmd/rollcall TestWatchMissed/"
	awayAndBack = "./internal/changes TestAwayAndBack"
)

var changesGuards = []guard{
	{
		"changes: not before it has caught up", "a replay is not told as news",
		"internal/changes/changes.go", `for !p.CaughtUp() {`, `for false {`, "./internal/changes TestPublish",
	},
	{
		"changes: the previous place", "a change that was missed shows",
		"internal/changes/changes.go", "\t*previous = place\n", "", "./internal/changes TestPublish",
	},
	{
		"changes: the first change of a machine", "what came before telling began shows as missed",
		"internal/changes/changes.go", `Previous: max(*previous, p.since),`, `Previous: *previous,`, "./internal/changes TestPublish",
	},
	{
		"changes: after a reconnect", "what may be lost with a connection shows as missed",
		"internal/changes/changes.go", `case reconnects != p.reconnects:`, `case false && reconnects != p.reconnects:`, awayAndBack,
	},
	{
		"changes: while the connection is away", "no change is sent long after it happened",
		"internal/changes/changes.go", `case !p.Conn.IsConnected():`, `case false:`, "./internal/changes TestNotSentLate",
	},
	{
		"changes: more than there is room for", "nothing is dropped silently",
		"internal/changes/changes.go", `case !complete:`, `case false && !complete:`, "./internal/changes TestTooMuch",
	},
	{
		"changes: half of the room", "a burst is told before there is no more room",
		"internal/changes/changes.go", `case <-p.follower.Filling():`, `case <-make(chan int):`, "./internal/changes TestTooMuch",
	},
	{
		"changes: beats", "who watches hears that the service is there, and from where on it tells",
		"internal/changes/changes.go", `if time.Since(p.beaten) >= p.Beat && `, `if false && `, "./internal/changes TestBeats",
	},
	{
		"changes: no beats while the stream is out of sight", "who watches sees that nothing is told",
		"internal/changes/changes.go", `(p.Stale == nil || !p.Stale())`, `true`, "./internal/changes TestNoBeatsWhileStale",
	},
	{
		"changes: one that does not fit a message", "it is told without its users, not dropped",
		"internal/changes/message.go", `if err != nil || len(data) <= most {`, `if true || len(data) <= most {`, "./internal/changes TestLarge",
	},
	{
		"changes: what is no change", "who watches is not misled by strangers' messages",
		"internal/api/changes.go", `if c.Machine == "" || c.Place == 0 || c.Users == nil {`, `if false {`, "./internal/api TestDecodeChange",
	},
	{
		"changes: what is no beat", "who watches is not misled by strangers' messages",
		"internal/api/changes.go", `if b.When.IsZero() {`, `if false {`, "./internal/api TestDecodeChange",
	},
	{
		"changes: room for what is noted", "nobody who follows fills the memory, or holds up the fold",
		"internal/roster/follow.go", `if len(f.noted) == f.most {`, `if false {`, "./internal/roster TestFollow",
	},
	{
		"changes: came and left within a second", "only what lasts is told",
		"internal/roster/follow.go", `case first && last:`, `case first:`, "./internal/roster TestFollow",
	},
	{
		"changes: within one event", "a present that lists those who were on is no change",
		"internal/roster/follow.go", `if c.read(rest[:n]) {`, `if c.read(rest[:n]) || true {`, "./internal/roster TestFollow",
	},
	{
		"changes: watch, one that was missed", "watch asks for the state and prints the difference",
		"internal/client/mirror.go", `case c.Previous > at, c.Large:`, `case c.Large:`, watchMissed + "change",
	},
	{
		"changes: watch, one that is large", "watch asks for the state and prints the difference",
		"internal/client/mirror.go", `case c.Previous > at, c.Large:`, `case c.Previous > at:`, watchMissed + "large",
	},
	{
		"changes: watch, known already", "nothing older than the state is printed after it",
		"internal/client/mirror.go", `case c.Place <= at:`, `case false:`, "./cmd/rollcall TestWatch$",
	},
	{
		"changes: watch, a service that began anew", "watch asks for the state and prints the difference",
		"internal/client/mirror.go", `beat.Since > w.place || `, ``, watchMissed + "beat$",
	},
	{
		"changes: watch, a service that lost its places", "watch asks for the state and prints the difference",
		"internal/client/mirror.go", ` || !old && beat.Place < w.place`, ` || false && old`, watchMissed + "lower_beat",
	},
	{
		"changes: watch, what can't be read", "watch asks for the state and prints the difference",
		"internal/client/mirror.go", "\t\treturn true, nil\n\t}\n\tif !api.Matches", "\t\treturn false, nil\n\t}\n\tif !api.Matches", watchMissed + "unreadable",
	},
	{
		"changes: watch, a reconnect", "watch asks for the state and prints the difference",
		"internal/client/mirror.go", `nats.ReconnectHandler(func(*nats.Conn) { signal(w.back) }),`, ``, watchMissed + "reconnect",
	},
	{
		"changes: watch, a login that is refused", "who waits learns that waiting does not help",
		"internal/client/mirror.go", `refusal := w.Refused(err); refusal != nil {`, `refusal := w.refusal(err); false {`, "./cmd/rollcall TestWatchRefused$",
	},
	{
		"changes: watch, other machines", "only what is asked for is printed",
		"internal/client/mirror.go", `if !api.Matches(w.Machines, c.Machine) {`, `if false {`, "./cmd/rollcall TestWatchNotMissed",
	},
	{
		"changes: watch, machines that are gone", "who left meanwhile is printed",
		"internal/client/mirror.go", `!ok && len(k.users) > 0 {`, `false && !ok && len(k.users) > 0 {`, "./internal/client TestMirrorMachineGone",
	},
	{
		"changes: watch, hostile names", "a name does nothing to a terminal",
		"cmd/rollcall/watch_command.go", `user = harmless(user)`, ``, "./cmd/rollcall TestWatch$",
	},
	{
		"changes: watch, names of several", "a line names those who are, and nobody else",
		"cmd/rollcall/watch_command.go", `safe[i] = api.Name(harmless(safe[i]))`, `safe[i] = harmless(safe[i])`, "./cmd/rollcall TestWatchNames",
	},
}
