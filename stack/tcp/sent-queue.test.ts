import test from 'ava';
import { fc } from '../../test/properties.ts';
import { MAX_SENT_RECORDS, SentFlag, SentQueue } from './sent-queue.ts';

const START = 0xfffffff0 | 0;

/** What the arrays must always satisfy. */
function consistent(queue: SentQueue): boolean {
  let sacked = 0;
  let lost = 0;
  let retransmitted = 0;
  for (let at = queue.first; at < queue.last; at++) {
    const bytes = (queue.end[at]! - queue.start[at]!) | 0;
    if (bytes <= 0) return false;
    if (at > queue.first && queue.start[at] !== queue.end[at - 1]) return false;
    const flags = queue.flags[at]!;
    if (flags & SentFlag.Sacked) sacked += bytes;
    if (flags & SentFlag.Lost) lost += bytes;
    if (flags & SentFlag.Retransmitted) retransmitted += bytes;
    if (flags & SentFlag.Sacked && flags & SentFlag.Lost) return false;
    if (flags & SentFlag.Retransmitted && !(flags & SentFlag.Lost)) return false;
  }
  return (
    sacked === queue.sackedBytes && lost === queue.lostBytes && retransmitted === queue.retransmittedBytes
  );
}

test('random use keeps the sums right and forgets no byte', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 6 }), fc.nat(4000), fc.nat(4000)), { maxLength: 200 }),
      (steps) => {
        const queue = new SentQueue();
        let una = START;
        let nxt = START;
        /** The bytes between una and nxt that are sacked, by offset from START. */
        const sacked = new Set<number>();
        for (const [what, x, y] of steps) {
          const flight = (nxt - una) | 0;
          switch (what) {
            case 0:
            case 1: {
              const length = (x % 30) + 1;
              queue.push(nxt, (nxt + length) | 0, 1, 0);
              nxt = (nxt + length) | 0;
              break;
            }
            case 2: {
              if (flight === 0) break;
              una = (una + 1 + (x % flight)) | 0;
              queue.ackTo(una);
              break;
            }
            case 3: {
              if (flight < 2) break;
              const left = (una + 1 + (x % (flight - 1))) | 0;
              const right = (left + 1 + (y % ((nxt - left) | 0))) | 0;
              let fresh = 0;
              for (let at = left; at !== right; at = (at + 1) | 0) {
                const offset = (at - START) | 0;
                if (!sacked.has(offset)) fresh++;
                sacked.add(offset);
              }
              if (queue.markSacked(left, right) !== fresh) return false;
              break;
            }
            case 4:
              queue.markLostBefore(1, nxt, 1);
              break;
            case 5:
              if (x % 3 === 0) queue.markAllLost();
              else queue.markHeadLost(10);
              // Both leave sacked pieces alone
              break;
            default: {
              const at = queue.nextLost();
              if (at >= 0) queue.retransmitted(at, 2, 0);
            }
          }
          if (!consistent(queue)) return false;
          if (queue.count > 0 && (queue.start[queue.first] !== una || queue.end[queue.last - 1] !== nxt)) {
            return false;
          }
          if (queue.count === 0 && una !== nxt) return false;
        }
        return true;
      },
    ),
    { numRuns: 500 },
  );
  t.pass();
});

test('lost is what was sent before the last piece that arrived, retransmissions too (RFC 8985 §6.2)', (t) => {
  const queue = new SentQueue();
  for (let i = 0; i < 6; i++) queue.push(i * 100, i * 100 + 100, i, 0);
  queue.beginAck(0);
  queue.markSacked(300, 400);
  t.is(queue.deliveredAt, 3);
  t.is(queue.deliveredEnd, 400);
  t.is(queue.markLostBefore(3, 400, -1), 0, 'it may still come');
  t.is(queue.waitMs, 3, 'the last of the three in three milliseconds');
  t.is(queue.markLostBefore(3, 400, 0), 100);
  t.is(queue.markLostBefore(3, 400, 3), 200);
  t.is(queue.nextLost(), queue.first);
  queue.retransmitted(queue.first, 9, 0);
  t.is(queue.markLostBefore(3, 400, 3), 0, 'what is lost already is not lost again');
  t.is(
    queue.markLostBefore(10, 600, 9),
    300,
    'a retransmission can be lost, and all that was sent before it',
  );
  t.is(queue.retransmittedBytes, 0);
});

test('reordered is what arrives later than something sent after it (RFC 8985 §6.2 step 3)', (t) => {
  const queue = new SentQueue();
  for (let i = 0; i < 6; i++) queue.push(i * 100, i * 100 + 100, i, 0);
  queue.beginAck(0);
  queue.markSacked(200, 300);
  queue.ackTo(100);
  t.false(queue.reordered, 'one ACK tells no order');
  queue.beginAck(0);
  queue.ackTo(300);
  t.true(queue.reordered);
});

test('sacked neighbours become one record', (t) => {
  const queue = new SentQueue();
  for (let i = 0; i < 100; i++) queue.push(i * 10, i * 10 + 10, i, 0);
  for (let i = 99; i > 0; i -= 2) queue.markSacked(i * 10, i * 10 + 10);
  for (let i = 98; i > 0; i -= 2) queue.markSacked(i * 10, i * 10 + 10);
  t.is(queue.count, 2);
});

test('a peer that reports every other byte makes no more than so many records', (t) => {
  const queue = new SentQueue();
  queue.push(0, 1_000_000, 0, 0);
  let refused = 0;
  for (let at = 1; at < 50_000; at += 2) if (queue.markSacked(at, at + 1) < 0) refused++;
  t.true(queue.count <= MAX_SENT_RECORDS + 1);
  t.true(refused > 0);
});

// [BBR §4.2-1]
test('no round trip is measured over anything sent twice (Karn)', (t) => {
  const queue = new SentQueue();
  queue.push(0, 10, 100, 0);
  queue.push(10, 20, 200, 0);
  queue.push(20, 30, 300, 0);
  queue.ackTo(5);
  t.is(queue.ackedSentAt, 100);
  queue.markHeadLost(100);
  queue.retransmitted(queue.first, 400, 0);
  queue.ackTo(20);
  t.is(queue.ackedSentAt, -1);
  queue.ackTo(30);
  t.is(queue.ackedSentAt, 300);
});
