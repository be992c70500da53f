package guards

const (
	incarnations = "./internal/faults TestIncarnations/"
	retention    = "./internal/faults TestRetention/"
)

var streamGuards = []guard{
	{
		"stream: when it was created", "a recreated stream is not read on at an old sequence",
		"internal/stream/verdict.go", `if at.Proof.Stream != r.stream || at.Proof.Created != st.created {`, `if at.Proof.Stream != r.stream {`, incarnations + "recreated_offline",
	},
	{
		"stream: its name", "that the stream has another name is told as what it is",
		"internal/stream/verdict.go", `if at.Proof.Stream != r.stream || at.Proof.Created != st.created {`, `if at.Proof.Created != st.created {`, "./internal/stream TestAnotherName",
	},
	{
		"stream: its name in the proof", "the position of one stream is none in another",
		"internal/stream/proof.go", `case p.Stream != r.stream || p.Created`, `case p.Created`, "./internal/stream TestAnotherName",
	},
	{
		"stream: when it was created, in the proof", "a stream made anew from the same messages is another, once",
		"internal/stream/proof.go", `p.Created != st.created || p.Sequence > st.last:`, `p.Sequence > st.last:`, "./internal/stream TestCopiedMessages",
	},
	{
		"stream: its end", "what is stored where the position was is read",
		"internal/stream/verdict.go", `if max(at.Sequence(), tail) > st.last {`, `if tail > st.last {`, "./internal/stream TestCutBehindLosses",
	},
	{
		"stream: the end that was seen", "a stream that lost what was not read yet is noticed",
		"internal/stream/verdict.go", `if max(at.Sequence(), tail) > st.last {`, `if max(at.Sequence(), min(tail, 0)) > st.last {`, "./internal/stream TestEndCutOff",
	},
	{
		"stream: the proof", "a copy that has other messages under our numbers is noticed",
		"internal/stream/verdict.go", `case known && !held:`, `case false && known && !held:`, incarnations + "forked_offline",
	},
	{
		"stream: receipt of the proof", "the same payload at another time is another message",
		"internal/stream/proof.go", `m.Receipt == p.Receipt && m.hash() == p.Hash`, `m.hash() == p.Hash`, "./internal/stream TestSamePayloads",
	},
	{
		"stream: hash of the proof", "another payload is another message",
		"internal/stream/proof.go", `m.Receipt == p.Receipt && m.hash() == p.Hash`, `m.Receipt == p.Receipt`, "./internal/stream TestProofCoversPayload",
	},
	{
		"stream: subjects in the hash", "no message of a hostile publisher keeps the service from starting",
		"internal/stream/proof.go", `write(string([]rune(m.Subject)))`, `write(m.Subject)`, "./internal/stream TestProofOfHostileMessages",
	},
	{
		"stream: order of headers in the hash", "a position verifies at the next start",
		"internal/stream/proof.go", "\tslices.Sort(keys)\n", "\t_ = slices.Sort[[]string]\n", "./internal/stream TestHashOfManyHeaders",
	},
	{
		"stream: lengths in the hash", "no two messages are one",
		"internal/stream/proof.go", "\t\th.Write(size[:])\n", "", "./internal/stream TestHashOfManyHeaders",
	},
	{
		"stream: earlier proofs", "where the last message is gone, an earlier one tells of another copy",
		"internal/stream/verdict.go", `if err == nil && !known && at.Proof.Sequence >= st.first {`, `if false {`, "./internal/stream TestProofRemoved",
	},
	{
		"stream: proofs of other incarnations", "they say nothing about this one",
		"internal/stream/verdict.go", `if earlier.Proof.Created != st.created || earlier.Base != at.Base || earlier.Place > at.Place {`, `if earlier.Proof.Created != st.created {`, "./internal/stream TestProofOfAnother",
	},
	{
		"stream: judged twice", "one odd answer does not make a stream ours in which nothing proves that it is",
		"internal/stream/verdict.go", `if first == same && !proven {`, `if first == missing && !proven {`, "./internal/stream ^(TestOddBeginnings|TestOddEnd)$",
	},
	{
		"stream: judged twice, though an earlier position is proved", "one odd answer does not make another copy ours that has an earlier position",
		"internal/stream/verdict.go", `return begins(at, st), st, proven, nil`, `return begins(at, st), st, known, nil`, "./internal/stream TestOddEnd",
	},
	{
		"stream: judged alike twice", "a stream that ended before the position is not ours when it has grown beyond",
		"internal/stream/verdict.go", `if again != first || st.created != was.created {`, `if st.created != was.created {`, "./internal/stream TestOddEnd",
	},
	{
		"stream: judged twice as one stream", "where nothing was read, an old leader's stream is not taken for ours",
		"internal/stream/verdict.go", `if again != first || st.created != was.created {`, `if again != first {`, "./internal/stream TestOddBeginnings",
	},
	{
		"stream: the end of what has lost its beginning", "a stream that lost what was not read yet is noticed",
		"internal/stream/verdict.go", "\tr.sawTail(was.last)\n", "\tif first == same {\n\t\tr.sawTail(was.last)\n\t}\n", "./internal/stream TestEndCutOffOfTruncated",
	},
	{
		"stream: a proof that is missing", "one odd answer does not let another copy be read from its first message",
		"internal/stream/proof.go", `if errors.Is(err, errNoMessage) { // or`, `if false { // or`, "./internal/stream TestProofOddlyMissing",
	},
	{
		"stream: a verdict is confirmed", "one odd answer is no proof",
		"internal/stream/verdict.go", `case again != first || st.created != was.created:`, `case false:`, "./internal/stream ^(TestOddAnswers|TestOneOddAnswer)$",
	},
	{
		"stream: the same verdict twice", "one odd answer is no proof, though it tells of our own stream",
		"internal/stream/verdict.go", `case again != first || st.created != was.created:`, `case st.created != was.created:`, "./internal/stream TestOddReason",
	},
	{
		"stream: the same verdict on one stream", "one odd answer is no second incarnation",
		"internal/stream/verdict.go", `case again != first || st.created != was.created:`, `case again != first:`, "./internal/stream TestOddRecreation",
	},
	{
		"stream: the earlier beginning of two", "one odd answer gives up no message that is there",
		"internal/stream/verdict.go", "\t\tst.first = min(st.first, was.first)\n", "", "./internal/stream TestOddTruncation",
	},
	{
		"stream: the newest earlier position", "a restored stream is not read from its first message",
		"internal/stream/verdict.go", "\t\t\tfrom = earlier.Proof\n", "", incarnations + "restored_offline$",
	},
	{
		"stream: positions beyond ours", "nothing that the roster has not read is passed over",
		"internal/stream/verdict.go", "if earlier.Place > old.Place {\n\t\t\tcontinue", "if false {\n\t\t\tcontinue", "./internal/stream TestUnloadable",
	},
	{
		"stream: the base", "no two messages share a place",
		"internal/stream/verdict.go", `Base:   old.Place - from.Sequence,`, `Base:   0,`, "./internal/stream ^TestRecreated$",
	},
	{
		"stream: what was judged before", "nothing is dead-lettered twice",
		"internal/stream/verdict.go", `Judged: max(old.Judged, old.Proof.Receipt),`, ``, incarnations + "restored_offline$",
	},
	{
		"stream: an incarnation has a loss", "what a stream that is gone had after our position is told",
		"internal/stream/verdict.go", `r.fold(&Batch{End: next, Unread: true})`, `r.fold(&Batch{End: next})`, incarnations + "recreated_offline$",
	},
	{
		"stream: what was deleted in another", "nothing is told as deleted that was not",
		"internal/stream/verdict.go", `r.removed, r.suspect = nil, 0`, ``, "./internal/stream TestDeletedBefore",
	},
	{
		"stream: the end of another", "a stream that is shorter than the last is not behind",
		"internal/stream/verdict.go", "\tr.tail.Store(from.Sequence) //", "\t//", "./internal/stream ^(TestRecreated|TestDeletedBefore)$",
	},
	{
		"stream: its beginning", "what left the stream before it was read is told at once",
		"internal/stream/verdict.go", `if st.first > at.Sequence()+1 {`, `if false {`, "./internal/stream TestQuickly",
	},
	{
		"stream: the beginning of all", "that the first events were never there is told as such",
		"internal/stream/verdict.go", `if r.at.Place == 0 {`, `if false {`, "./internal/stream ^TestGaps$",
	},
	{
		"stream: missing", "a deleted stream is made again",
		"internal/stream/verdict.go", "if err := r.makeStream(ctx); err != nil {", "if err := error(nil); err != nil {", incarnations + "missing_offline",
	},
	{
		"stream: the watch", "another stream is noticed within 10 seconds while running",
		"internal/stream/reader.go", `watch.Go(func() { r.watch(ctx, end) })`, ``, retention + "purged_running,_and_nothing_after",
	},
	{
		"stream: the watch looks twice", "one odd answer is no proof",
		"internal/stream/watch.go", `if again, err := r.holds(ctx); !again && err == nil {`, `if true {`, "./internal/stream TestOneOddAnswer",
	},
	{
		"stream: what the watch finds", "whatever becomes of the stream is noticed while running",
		"internal/stream/watch.go", `return found == same, err`, `return found != missing, err`, "./internal/stream TestForkUntold",
	},
	{
		"stream: behind and not moving", "a consumer that stalls is made anew",
		"internal/stream/watch.go", `if still < stallAfter {`, `if true {`, "./internal/stream TestWatchdogConsumer",
	},
	{
		"stream: the second one too", "a connection that stalls is made anew",
		"internal/stream/watch.go", `if r.stalled++; r.stalled > 1 {`, `if r.stalled++; false {`, "./internal/stream TestWatchdogConnection",
	},
	{
		"stream: nothing to come is no stall", "an idle stream is left in peace",
		"internal/stream/watch.go", "if r.Lag() == 0 {", "if false {", "./internal/stream TestIdle",
	},
	{
		"stream: before the first fold", "nothing of another stream is folded",
		"internal/stream/reader.go", "if err := r.settle(ctx); err != nil {", "if err := error(nil); err != nil {", "./internal/stream ^TestRecreated$",
	},
	{
		"stream: a sequence that is left out", "no message is passed over without a word",
		"internal/stream/reader.go", `if m.Sequence != r.at.Sequence()+uint64(len(r.batch.Messages))+1 {`, `if false {`, "./internal/stream ^TestGaps$",
	},
	{
		"stream: the whole batch before a gap", "places are in order",
		"internal/stream/reader.go", "\t\t\tr.flush()\n\t\t\tif err := r.gap", "\t\t\tif err := r.gap", "./internal/stream ^TestGaps$",
	},
	{
		"stream: caught up", "half a roster is never shown as the whole",
		"internal/stream/reader.go", `if r.position.Load() >= r.target.Load() {`, `if true {`, "./internal/faults TestIncarnations/same,_offline",
	},
	{
		"stream: a connection that has ended", "the reader does not try for ever on a closed connection",
		"internal/stream/reader.go", `case isClosed(err):`, `case false:`, "./internal/stream ^TestClosed$",
	},
	{
		"stream: pauses", "a server that is away is not flooded",
		"internal/stream/reader.go", `sleep(ctx, pause)`, `_ = pause`, "./internal/stream TestPauses",
	},
	{
		"stream: complaints", "a trouble is a few lines a minute",
		"internal/stream/reader.go", `if cause == r.complaint && time.Since(r.complained) < complainEvery {`, `if false {`, "./internal/stream TestPauses",
	},
	{
		"stream: a gap is in doubt", "what one consumer does not deliver is no gap of the stream",
		"internal/stream/gap.go", `case r.suspect != want:`, `case false:`, "./internal/stream TestSkippedOnce",
	},
	{
		"stream: a gap that was deleted", "it is told with its reason, at once, by whatever consumer shows it",
		"internal/stream/gap.go", "case removed:\n", "case removed && false:\n", "./internal/stream TestQuickly",
	},
	{
		"stream: going back", "no message is folded as a later one",
		"internal/stream/gap.go", `if got < want {`, `if false {`, "./internal/stream TestDeliveredAgain",
	},
	{
		"stream: a gap is asked for", "what a consumer skips, and the stream has, is read",
		"internal/stream/gap.go", "case end == want:\n", "case false:\n", "./internal/stream TestReasons",
	},
	{
		"stream: a gap is confirmed", "one odd answer is no proof",
		"internal/stream/gap.go", `if err == nil && again != why {`, `if false && again != why {`, "./internal/stream TestOddReason",
	},
	{
		"stream: what a gap is of", "the gap of another stream is not told as this one's",
		"internal/stream/gap.go", `case st.created != r.at.Proof.Created || st.last < from:`, `case false:`, "./internal/stream ^(TestGapMeanwhile|TestGapCutOff)$",
	},
	{
		"stream: a gap at the beginning", "what left the stream is told as truncated",
		"internal/stream/gap.go", "case from < st.first:\n", "case false:\n", "./internal/stream TestGapMeanwhile",
	},
	{
		"stream: a gap at the end", "what lies behind the end is still to come",
		"internal/stream/gap.go", `min(to, st.last+1))`, `to)`, "./internal/stream TestGapCutOff",
	},
	{
		"stream: a gap of many", "a large gap does not take days",
		"internal/stream/gap.go", `if end-from == maxAbsent {`, `if false {`, "./internal/stream TestLargeGap",
	},
	{
		"stream: no answer", "that nobody answers is not that there is nothing",
		"internal/stream/gap.go", `case !errors.Is(err, errNoMessage):`, `case false:`, "./internal/stream ^(TestAwayWhileAsking|TestUnansweredGet)$",
	},
	{
		"stream: what was asked for", "it is folded only if the stream holds the position then",
		"internal/stream/gap.go", `case !held:`, `case false && !held:`, "./internal/stream TestForkedFetch",
	},
	{
		"stream: the last message", "one that is not delivered, with none after it, is asked for",
		"internal/stream/reader.go", "if err := r.undelivered(ctx, d, st.last); err != nil {", "if err := error(nil); err != nil {", "./internal/faults TestDamage/bit_flipped_in_the_last_message",
	},
	{
		"stream: deliveries are counted", "a message dropped on the way is noticed at once",
		"internal/stream/consumer.go", `if meta.delivery != c.delivered {`, `if false {`, "./internal/stream TestDroppedOnTheWay",
	},
	{
		"stream: what a pull may bring", "a slow fold drops nothing",
		"internal/stream/consumer.go", `channelSize  = 2*pullMessages + 1024`, `channelSize  = 64`, "./internal/stream TestSlowFold",
	},
	{
		"stream: a pull's bytes", "the largest message there may be can be pulled",
		"internal/stream/consumer.go", `max(pullBytes, int(c.nc.MaxPayload())+64<<10)`, `pullBytes`, "./internal/stream TestLargestMessage",
	},
	{
		"stream: what is to come of a pull", "reading does not stop with a pull that ended by its bytes",
		"internal/stream/consumer.go", "l.bytes -= msg.Size()\n", "_ = l.bytes\n", "./internal/stream TestPullsAreCounted",
	},
	{
		"stream: the end of a pull", "reading goes on after an idle time",
		"internal/stream/consumer.go", "\t\tc.laneOf(msg).messages = 0\n", "", "./internal/stream TestIdle",
	},
	{
		"stream: silence", "a consumer that somebody deletes is made anew",
		"internal/stream/consumer.go", `if quiet := time.Since(c.heard); quiet > 3*c.beat {`, `if quiet := time.Since(c.heard); false {`, "./internal/stream TestSilence",
	},
	{
		"stream: after a reconnect", "what was on its way is asked for again",
		"internal/stream/consumer.go", "\tcase <-c.reconnected:\n", "\tcase <-make(chan int):\n", "./internal/stream TestReconnected",
	},
	{
		"stream: other statuses", "a consumer that the server ends is made anew at once",
		"internal/stream/consumer.go", `return doubtful(causeServer, "the server ended the consumer: %s %s", status, description)`, `return nil`, "./internal/stream TestServerEndsConsumer",
	},
	{
		"stream: no consumer while away", "no consumer is made for nobody",
		"internal/stream/consumer.go", `if !s.nc.IsConnected() { //`, `if false { //`, "./internal/stream TestNoConsumerWhileAway",
	},
	{
		"stream: an empty stream", "a stream without messages begins after its end, though it never had any",
		"internal/stream/jetstream.go", `if info.State.Msgs == 0 {`, `if false {`, "./internal/stream TestEmptyStreams",
	},
	{
		"stream: an answer of nothing", "no answer crashes the service",
		"internal/stream/jetstream.go", `case answer.Message == nil:`, `case false:`, "./internal/stream TestOddReplies",
	},
	{
		"stream: replies of nobody", "what is no reply of a delivery is not read as one",
		"internal/stream/reply.go", `if !strings.HasPrefix(reply, "$JS.ACK.") {`, `if false {`, "./internal/stream TestMetadata",
	},
	{
		"stream: long numbers", "no number overflows",
		"internal/stream/reply.go", `0 < i && i <= 19`, `0 < i`, "./internal/stream TestMetadata",
	},
}
