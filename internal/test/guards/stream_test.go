package guards

const (
	incarnations = "./internal/test/faults TestIncarnations/"
	retention    = "./internal/test/faults TestRetention/"
)

var streamGuards = []guard{
	{
		"stream: when it was created", "a recreated stream is not read on at an old sequence",
		"internal/stream/decide.go", `case q.at.Proof.Stream != q.stream || q.at.Proof.Created != a.created:`, `case q.at.Proof.Stream != q.stream:`, "./internal/stream ^TestDecide$",
	},
	{
		"stream: its name", "that the stream has another name is told as what it is",
		"internal/stream/decide.go", `case q.at.Proof.Stream != q.stream || q.at.Proof.Created != a.created:`, `case q.at.Proof.Created != a.created:`, "./internal/stream TestAnotherName",
	},
	{
		"stream: its name in the proof", "the position of one stream is none in another",
		"internal/stream/proof.go", `case p.Stream != r.stream || p.Created`, `case p.Created`, "./internal/stream TestAnotherName",
	},
	{
		"stream: its end", "what is stored where the position was is read",
		"internal/stream/decide.go", `case max(q.at.Sequence(), q.tail) > a.last, a.proof == refuted:`, `case q.tail > a.last, a.proof == refuted:`, "./internal/stream TestCutBehindLosses",
	},
	{
		"stream: the end that was seen", "a stream that lost what was not read yet is noticed",
		"internal/stream/decide.go", `case max(q.at.Sequence(), q.tail) > a.last, a.proof == refuted:`, `case q.at.Sequence() > a.last, a.proof == refuted:`, "./internal/stream TestEndCutOff",
	},
	{
		"stream: the proof", "a copy that has other messages under our numbers is noticed",
		"internal/stream/decide.go", `case max(q.at.Sequence(), q.tail) > a.last, a.proof == refuted:`, `case max(q.at.Sequence(), q.tail) > a.last:`, incarnations + "forked_offline",
	},
	{
		"stream: receipt of the proof", "the same payload at another time is another message",
		"internal/stream/proof.go", `case m.Receipt != p.Receipt || m.hash() != p.Hash:`, `case m.hash() != p.Hash:`, "./internal/stream TestSamePayloads",
	},
	{
		"stream: hash of the proof", "another payload is another message",
		"internal/stream/proof.go", `case m.Receipt != p.Receipt || m.hash() != p.Hash:`, `case m.Receipt != p.Receipt:`, "./internal/stream TestProofCoversPayload",
	},
	{
		"stream: earlier proofs", "where the last message is gone, an earlier one tells of another copy",
		"internal/stream/confirm.go", `if err != nil || found != gone || at.Proof.Sequence < st.first {`, `if true {`, "./internal/stream TestProofRemoved",
	},
	{
		"stream: proofs of other incarnations", "they say nothing about this one",
		"internal/stream/confirm.go", `if earlier.Proof.Created != st.created || earlier.Base != at.Base || earlier.Place > at.Place {`, `if earlier.Proof.Created != st.created {`, "./internal/stream TestProofOfAnother",
	},
	{
		"stream: judged twice", "one odd answer does not make a stream ours in which nothing proves that it is",
		"internal/stream/decide.go", `case found == same && a.proof == held && begun:`, `case found == same && begun:`, "./internal/stream ^(TestOddBeginnings|TestOddEnd)$",
	},
	{
		"stream: judged twice, though an earlier position is proved", "one odd answer does not make another copy ours that has an earlier position",
		"internal/stream/confirm.go", `return gone, nil // an earlier`, `return held, nil // an earlier`, "./internal/stream TestOddEnd",
	},
	{
		"stream: two answers of one stream", "where two answers contradict each other it is asked once more",
		"internal/stream/decide.go", `if q.verdict(a) != q.verdict(answers[0]) || a.created != answers[0].created {`, `if a.created != answers[0].created {`, "./internal/stream ^(TestDecide|TestOddEnd)$",
	},
	{
		"stream: two answers of one creation", "where nothing was read, an old leader's stream is not taken for ours; and one odd answer is no second incarnation",
		"internal/stream/decide.go", `if q.verdict(a) != q.verdict(answers[0]) || a.created != answers[0].created {`, `if q.verdict(a) != q.verdict(answers[0]) {`, "./internal/stream ^(TestOddBeginnings|TestOddRecreation)$",
	},
	{
		"stream: an answer is confirmed", "one odd answer is no proof",
		"internal/stream/decide.go", `case len(answers) == 1:`, `case len(answers) == 0:`, "./internal/stream ^(TestOddAnswers|TestOneOddAnswer)$",
	},
	{
		"stream: the earlier beginning of two", "one odd answer gives up no message that is there",
		"internal/stream/decide.go", `begins = min(begins, a.first)`, `begins = max(begins, a.first)`, "./internal/stream ^(TestDecide|TestOddTruncation)$",
	},
	{
		"stream: what was delivered is at hand", "a message that has left the stream after it was delivered is read",
		"internal/stream/decide.go", `begins = min(begins, q.delivered)`, `_ = begins`, "./internal/stream ^(TestDecide|TestRetentionAtWork)$",
	},
	{
		"stream: the consumer delivers first", "behind a stream whose retention is at work reading begins with what the consumer has",
		"internal/stream/reader.go", `deliverErr := r.awaitFirst(ctx, d)`, `deliverErr := error(nil)`, "./internal/stream TestRetentionAtWork",
	},
	{
		"stream: its origin", "a stream that was made to begin anywhere has lost nothing before that",
		"internal/stream/decide.go", `return st.origin()`, `return 1`, "./internal/stream ^(TestDecideAtTheOrigin|TestFirstSequence)$",
	},
	{
		"stream: the newest earlier position", "a restored stream is not read from its first message",
		"internal/stream/incarnation.go", `case found == held:`, `case found == held && false:`, incarnations + "restored_offline$",
	},
	{
		"stream: a copy by its messages", "a restored backup is known as a copy, whenever its stream was made",
		"internal/stream/incarnation.go", "p.Created = st.created\n", "_ = st.created\n", "./internal/stream ^(TestCopiedMessages|TestCopiedAnew)$",
	},
	{
		"stream: positions beyond ours", "nothing that the roster has not read is passed over",
		"internal/stream/incarnation.go", "if earlier.Place > r.at.Place {\n\t\t\tcontinue", "if false {\n\t\t\tcontinue", "./internal/stream TestUnloadable",
	},
	{
		"stream: the base", "no two messages share a place",
		"internal/stream/incarnation.go", `.On(after)`, ``, "./internal/stream ^TestRecreated$",
	},
	{
		"stream: what is known to be given", "a place that a report or dead letter tells of is not given again",
		"internal/stream/given.go", `place = max(place, g.Place)`, `_ = g.Place`, "./internal/stream TestGiven",
	},
	{
		"stream: what was seen and not read", "it is lost with the stream that had it",
		"internal/stream/given.go", `place = r.at.PlaceOf(tail)`, `_ = tail`, "./internal/stream TestUnreadIsLost",
	},
	{
		"stream: what was judged before", "nothing is dead-lettered twice",
		"internal/stream/incarnation.go", `if copied { // what`, `if false && copied { // what`, incarnations + "restored_offline$",
	},
	{
		"stream: what was never judged", "another stream's messages have their dead letters",
		"internal/stream/incarnation.go", `if copied { // what`, `if copied || true { // what`, "./internal/stream TestNeverJudged",
	},
	{
		"stream: an incarnation has a loss", "what a stream that is gone had after our position is told",
		"internal/stream/incarnation.go", `r.fold(&Batch{End: next, Missing: roster.Recreated, Unread: true})`, `r.fold(&Batch{End: next, Missing: roster.Recreated})`, incarnations + "recreated_offline$",
	},
	{
		"stream: what was deleted in another", "nothing is told as deleted that was not",
		"internal/stream/incarnation.go", `r.aimed, r.removed, r.told, r.elsewhere, r.claim = false, nil, state{}, false, Given{}`, `r.aimed, r.told, r.elsewhere, r.claim = false, state{}, false, Given{}`, "./internal/stream TestDeletedBefore",
	},
	{
		"stream: the end of another", "a stream that is shorter than the last is not behind",
		"internal/stream/incarnation.go", `r.tail.Store(next.Sequence()) //`, `//`, "./internal/stream ^(TestRecreated|TestDeletedBefore)$",
	},
	{
		"stream: the beginning of all", "that the first events were never there is told as such",
		"internal/stream/incarnation.go", `if r.at.Place == 0 {`, `if false {`, "./internal/stream ^TestGaps$",
	},
	{
		"stream: missing", "a deleted stream is made again",
		"internal/stream/incarnation.go", `if err := r.makeStream(ctx); err != nil {`, `if err := error(nil); err != nil {`, incarnations + "missing_offline",
	},
	{
		"stream: what the watch finds", "whatever becomes of the stream is noticed while running",
		"internal/stream/watch.go", `if err != nil || act.deed == read {`, `if err != nil || act.deed == read || act.deed == rebase {`, "./internal/stream TestForkUntold",
	},
	{
		"stream: what the watch leaves alone", "what has left the stream after it was delivered is no reason to begin anew",
		"internal/stream/watch.go", `!(wasWaiting && waiting && now == at)`, `wasWaiting && waiting && now == at`, retention + "purged_running,_and_nothing_after",
	},
	{
		"stream: before the first fold", "nothing of another stream is folded",
		"internal/stream/reader.go", `if err := r.settle(ctx, r.first(d, st), r.toldTwice(d, st)); err != nil {`, `if err := error(nil); err != nil {`, "./internal/stream ^TestRecreated$",
	},
	{
		"stream: a look before the consumer", "one odd answer is no proof",
		"internal/stream/reader.go", `before.last = min(before.last, r.at.Sequence()+d.pending())`, `_ = d`, "./internal/stream TestOddEnd",
	},

	{
		"stream: caught up", "half a roster is never shown as the whole",
		"internal/stream/caughtup.go", `if r.aimed && r.position.Load() >= r.target.Load() {`, `if r.aimed {`, "./internal/stream TestLosingIsNotPassing",
	},
	{
		"stream: losing is not passing", "no roster is complete by what was lost",
		"internal/stream/loss.go", `if r.position.Load() >= r.target.Load() {`, `if false {`, "./internal/stream TestLosingIsNotPassing",
	},
	{
		"stream: losses are summed", "a flood of deleted messages is a few lines a minute",
		"internal/stream/loss.go", `l.lines >= linesOfLosses && !end`, `false && !end`, "./internal/stream TestLossesAreSummed",
	},
	{
		"stream: a gap is in doubt", "what one consumer does not deliver is no gap of the stream",
		"internal/stream/gap.go", `case !fresh:`, `case false:`, "./internal/stream TestSkippedOnce",
	},
	{
		"stream: a gap is confirmed", "one odd answer is no proof",
		"internal/stream/inventory.go", `earlier.of(seq) == found`, `(earlier.of(seq) == found || true)`, "./internal/stream ^(TestRunsOf|TestOddReason)$",
	},
	{
		"stream: a gap is asked for once more", "what is not there at once is not lost yet",
		"internal/stream/inventory.go", `if !sure && len(askings) == 1 {`, `if false {`, "./internal/stream ^TestRunsOf$",
	},
	{
		"stream: a gap at the beginning", "what left the stream is told as truncated",
		"internal/stream/inventory.go", `if seq < inv.first {`, `if false {`, "./internal/stream ^(TestRunsOf|TestGapMeanwhile)$",
	},
	{
		"stream: a gap of many", "a large gap does not take days",
		"internal/stream/inventory.go", `if missed == maxAbsent {`, `if false {`, "./internal/stream TestLargeGap",
	},
	{
		"stream: no answer", "that nobody answers is not that there is nothing",
		"internal/stream/inventory.go", "\t\tcase err != nil:\n\t\t\treturn err\n\t\t}\n\t\tmissed = 0", "\t\tcase err != nil:\n\t\t\tmissed++\n\t\t\tcontinue\n\t\t}\n\t\tmissed = 0", "./internal/stream TestUnansweredInventory",
	},
	{
		"stream: the end that an answer told of", "a stream that lost what was not read yet is noticed",
		"internal/stream/confirm.go", `r.sawTail(st.last) // if`, `_ = r.sawTail // if`, "./internal/stream TestEndCutOffBetweenAnswers",
	},
	{
		"stream: an end cut off", "what is behind the end for a while is not missing",
		"internal/stream/inventory.go", `case now.created != st.created || now.last < st.last:`, `case now.created != st.created:`, "./internal/stream TestCutOffWhileAsking",
	},
	{
		"stream: a consumer of another", "what the stream before has delivered is not taken for the copy's",
		"internal/stream/decide.go", `case found == same && q.created != 0 && q.created != last.created:`, `case false && q.created != last.created:`, "./internal/stream ^(TestDecide|TestConsumerOfAnother)$",
	},
	{
		"stream: an old leader before the consumer", "what the consumer has delivered is not thrown away for one odd answer",
		"internal/stream/reader.go", `if lookErr == nil && r.at.Proof.Stream != "" && st.created != r.at.Proof.Created {`, `if false {`, "./internal/stream TestOldLeaderBeforeDelivery",
	},
	{
		"stream: what two witnesses told of", "an end that is cut off while the stream is in doubt is noticed",
		"internal/stream/reader.go", `if r.told.created == before.created {`, `if false {`, "./internal/stream TestEndCutOffInDoubt",
	},
	{
		"stream: what two witnesses told of is lost", "what is known of and was not read is counted",
		"internal/stream/given.go", `if r.told.created == r.at.Proof.Created && r.told.last > st.last {`, `if false {`, "./internal/stream TestEndCutOffInDoubt",
	},
	{
		"stream: losing is no moving", "a stream that loses its beginning as fast as it is given up is no excuse to stand still",
		"internal/stream/gap.go", `if err := r.moving(); err != nil { // the`, `if err := error(nil); err != nil { // the`, "./internal/stream TestStallWhileTrimmed",
	},
	{
		"stream: given before the first snapshot", "no place is given twice, and what another stream had is lost",
		"internal/stream/incarnation.go", `case place > 0:`, `case false && place > 0:`, "./internal/stream TestGivenWithoutSnapshot",
	},
	{
		"stream: given in a copy", "what a restored stream has gets the places that it had",
		"internal/stream/given.go", `return m.Receipt == g.Receipt, nil`, `return m.Receipt == 0, nil`, "./internal/stream TestGivenOfACopy",
	},
	{
		"stream: given beyond the copy", "no place is given twice",
		"internal/stream/given.go", `if again != nil && place <= *again+st.last-after && (`, `if again != nil && (`, "./internal/stream TestGivenOfACopy",
	},
	{
		"stream: another one since the snapshot", "no place is given twice",
		"internal/stream/given.go", `r.elsewhere = true`, `_ = g`, "./internal/stream TestAnotherSince",
	},
	{
		"stream: a copy since the snapshot", "no place is given twice",
		"internal/stream/given.go", `r.elsewhere = r.elsewhere || err == nil && m.Receipt != claim.Receipt`, `_ = m`, "./internal/stream TestCopySince",
	},
	{
		"stream: given before a crash", "what a stream has no more is lost, though no snapshot has come so far",
		"internal/stream/given.go", `r.told.last = max(r.told.last, g.Sequence)`, `_ = g`, "./internal/stream TestPutBack",
	},
	{
		"stream: configured to begin later", "what a stream has is read",
		"internal/stream/source.go", `if s.begins > s.first {`, `if false {`, "./internal/stream TestEditedFirstSequence",
	},
	{
		"stream: what was asked for", "it is folded only if the stream holds the position then",
		"internal/stream/gap.go", `case act.deed != read:`, `case false && act.deed != read:`, "./internal/stream TestForkedFetch",
	},
	{
		"stream: the consumer of a crash", "a start does not wait for its own ghost",
		"internal/stream/consumer.go", "\ts.remove(ctx, s.consumer)\n", ``, "./internal/stream TestGhost",
	},
	{
		"stream: a consumer is new", "what another has delivered is not taken for this one's",
		"internal/stream/consumer.go", `Metadata:          map[string]string{"rollcall": nuid.Next()},`, ``, "./internal/stream TestGhostThatStays",
	},
	{
		"stream: a ghost that stays", "reading begins though the old consumer can't be deleted",
		"internal/stream/consumer.go", `if errors.Is(err, jetstream.ErrConsumerExists) {`, `if false && errors.Is(err, jetstream.ErrConsumerExists) {`, "./internal/stream TestGhostThatStays",
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
		"stream: a proof that is missing", "one odd answer does not let another copy be read from its first message",
		"internal/stream/proof.go", "\tif errors.Is(err, errNoMessage) {\n\t\tm, err = r.source.get(ctx, seq)", "\tif false {\n\t\tm, err = r.source.get(ctx, seq)", "./internal/stream TestProofOddlyMissing",
	},
	{
		"stream: the watch", "another stream is noticed within 10 seconds while running",
		"internal/stream/reader.go", `watch.Go(func() { r.watch(ctx, end) })`, ``, retention + "purged_running,_and_nothing_after",
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
		"stream: a sequence that is left out", "no message is passed over without a word",
		"internal/stream/reader.go", `if m.Sequence != r.at.Sequence()+uint64(len(r.batch.Messages))+1 {`, `if false {`, "./internal/stream ^TestGaps$",
	},
	{
		"stream: the whole batch before a gap", "places are in order",
		"internal/stream/reader.go", "\t\t\tr.flush()\n\t\t\tif err := r.gap", "\t\t\tif err := r.gap", "./internal/stream ^TestGaps$",
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
		"stream: the last message", "one that is not delivered, with none after it, is asked for",
		"internal/stream/reader.go", "if err := r.undelivered(ctx, d, st.last); err != nil {", "if err := error(nil); err != nil {", "./internal/test/faults TestDamage/bit_flipped_in_the_last_message",
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
		"internal/stream/consumer.go", `max(bytes, int(c.nc.MaxPayload())+64<<10)`, `max(bytes, 1024)`, "./internal/stream TestLargestMessage",
	},
	{
		"stream: the first pull", "a slow link soon answers how the stream stands",
		"internal/stream/consumer.go", `c.pull(&c.lanes[0], maxBatch, 0)`, `c.pull(&c.lanes[0], pullMessages, pullBytes)`, "./internal/stream TestSlowLink",
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
