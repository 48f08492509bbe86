# SPDX-License-Identifier: Apache-2.0
"""
Exactly-once delivery of transitions from collectors to the learner's journal.

A sliding window with cumulative acknowledgement (as TCP, RFC 9293) and credit-based flow control
(as HTTP/2, RFC 9113 section 5.2), over the topics `transitions` and `transitions/ack`:

1. Number. `Outbox.append` gives each row of a collector run the next sequence number. It accepts
   a row only with credit (`granted`) from the learner, so the learner sets the pace.
2. Send. `Outbox.pending` returns batches of up to 64 rows, at most one window unacknowledged.
   Each message names the collector, run, contract hash, first number and `oldest`, the oldest
   number that the sender still has.
3. Journal. `Inbox.accept` drops duplicates by (run, number) and records gaps. The learner appends
   the new rows to its journal and flushes it.
4. Acknowledge. After the flush the learner publishes, for each run, the lowest number that it
   lacks (`acknowledged`) and the number up to which rows may be sent (`granted`). The outbox
   then forgets the rows before `acknowledged`.
5. Resend. Without progress for `resend_period` the outbox sends one batch from the oldest row, and
   continues with full windows after the next acknowledgement. An empty batch asks for credit.
6. Spill. The outbox lies in a memory-mapped file (`SpillFile`). Rows that do not fit into the
   mapped part are written behind it. The file survives the process, but not power loss.
7. Take over. A collector that starts again with the same name opens the unlocked spill files of
   its dead runs (`Outboxes`) and delivers their rows under the old run and the old numbers. The
   file of a run that is delivered is deleted and its account stays in `collectors/<run>.json`.

A row in the outbox is in one of these states::

      append            pending             acknowledge
    --------> [ kept ] ---------> [ sent ] -------------> [ delivered, dropped ]
                |  ^                 |
      no room   |  |  rows before    |  resend_period without an acknowledgement,
      in memory |  |  it were        |  or the learner lost its journal
                v  |  delivered      v
            [ spilled ] <------- [ to resend: from the oldest ]

      process killed in any of them: the file stays; the next run of that name delivers it.
      Dropped here but missing in the learner's journal: counted as `lost` on both sides.

A row that the inbox has accepted is `received`, a second copy of it a `duplicate`. A number behind
the newest is a `gap` until it arrives, and `lost` once `oldest` has passed it.
`LearnerSelection` chooses the one learner whose acknowledgements count, and `ReplayedRun` sends a
recorded run by the same protocol.
"""
