import { fileURLToPath } from 'node:url';
import test from 'ava';
import { parseScript } from './parser.ts';
import { runScript } from './runner.ts';
import { expectSegment, fromPcap, injectSegment, type Segment, seg } from './segments.ts';

const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../pcap-fixtures/${name}.pcap`, import.meta.url));

test('a segment as packet scripts write it', (t) => {
  t.is(
    seg({ flags: 'S.', ack: 1, window: 100, options: [{ kind: 'mss', value: 1460 }, { kind: 'sackOK' }] }),
    'S. 0:0(0) ack 1 win 100 <mss 1460,sackOK>',
  );
  t.is(seg({ flags: 'P.', seq: 1, payloadBytes: 10, ack: 1, options: 'any' }), 'P. 1:11(10) ack 1 <...>');
  t.is(seg({ flags: 'R', seq: 0xffffffff, payloadBytes: 1 }), 'R 4294967295:0(1)');
  t.throws(() => seg({ flags: 'X' }), { instanceOf: RangeError });
});

/** A server in a script, and one segment that is expected of it. */
function served(answer: Segment): string {
  return [
    '0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3',
    '+0 bind(3, ..., ...) = 0',
    '+0 listen(3, 1) = 0',
    injectSegment({ flags: 'S', window: 32_792, options: [{ kind: 'mss', value: 1000 }] }),
    expectSegment({ flags: 'S.', ack: 1, options: 'any' }),
    injectSegment({ flags: '.', seq: 1, ack: 1 }, 10),
    '+0 accept(3, ..., ...) = 4',
    '+0 write(4, ..., 500) = 500',
    expectSegment(answer),
  ].join('\n');
}

test('lines made by program run as those written by hand do, and fail as they do', (t) => {
  const right = { flags: 'P.', seq: 1, payloadBytes: 500, ack: 1 };
  t.like(runScript(served(right)), { kind: 'pass' });
  t.like(runScript(served({ ...right, seq: 2 })), { kind: 'fail', line: 9 });
});

test('fromPcap: what the kernel sent and got, in the numbers of a script', (t) => {
  const [segments = []] = fromPcap(fixture('kernel-client-closes-first'));
  t.like(segments[0], { number: 1, fromClient: true, afterMs: 0, segment: { flags: 'S', seq: 0 } });
  t.like(segments[1], { fromClient: false, segment: { flags: 'S.', seq: 0, ack: 1 } });
  t.like(segments[2], { fromClient: true, segment: { flags: '.', seq: 1, ack: 1, payloadBytes: 0 } });
  t.true(segments.some(({ segment }) => segment.flags.includes('F')));
  // a line of each is understood, and means the same
  for (const { fromClient, afterMs, segment } of segments) {
    const line = fromClient ? expectSegment(segment, afterMs) : injectSegment(segment, afterMs);
    const [event] = parseScript(line).events;
    t.like(event?.action, {
      kind: 'tcp',
      inbound: !fromClient,
      seq: segment.seq ?? 0,
      payloadBytes: segment.payloadBytes ?? 0,
      window: segment.window ?? null,
    });
  }
});

test('fromPcap: blocks of selective acknowledgements count from the same beginning', (t) => {
  const all = fromPcap(fixture('kernel-download-reorder')).flat();
  const blocks = all.flatMap(({ segment }) =>
    segment.options === 'any'
      ? []
      : (segment.options ?? []).flatMap((each) => (each.kind === 'sack' ? each.blocks : [])),
  );
  t.true(blocks.length > 0);
  for (const [left, right] of blocks) t.true(left > 0 && right > left && right < 50_000_000);
});
