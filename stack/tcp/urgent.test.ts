import test from 'ava';
import { EndpointEvent } from '../endpoint.ts';
import { TcpBench } from './testing.ts';
import { bytesToMark, NO_URGENT, passMark, takeOutOfBand, URGENT_NOT_YET, urgentBytes } from './urgent.ts';

const wasTold = (bench: TcpBench): boolean => (bench.takeEvents() & EndpointEvent.Urgent) !== 0;

test('[RFC 9293 MUST-30] [RFC 9293 MUST-31] urgent data of any length stays in the stream', (t) => {
  const bench = TcpBench.established({ recvRingBytes: 1 << 18 });
  bench.seg({ flags: 'PAU', seq: 1, ack: 1, data: 1000, urgent: 65_535 });
  for (let at = 1001; at < 65_536; at += 1000) {
    const left = 65_536 - at;
    bench.seg({ flags: 'AU', seq: at, ack: 1, data: Math.min(1000, left), urgent: left });
  }
  t.is(urgentBytes(bench.connection), 65_535);
  t.is(bench.read().length, 65_535);
  t.is(urgentBytes(bench.connection), 0);
});

test('[RFC 9293 MUST-32] the application hears of the first pointer and of every advance', (t) => {
  const bench = TcpBench.established();
  bench.seg({ flags: 'AU', seq: 1, ack: 1, data: 'abc', urgent: 2 });
  t.true(wasTold(bench));
  bench.seg({ flags: 'AU', seq: 1, ack: 1, data: 'abc', urgent: 2 });
  bench.seg({ flags: 'A', seq: 4, ack: 1, data: 'd' });
  t.false(wasTold(bench), 'the same pointer again, or none');
  bench.seg({ flags: 'AU', seq: 5, ack: 1, data: 'ef', urgent: 2 });
  t.true(wasTold(bench));
  bench.read();
  bench.seg({ flags: 'AU', seq: 5, ack: 1, data: 'ef', urgent: 2 });
  t.false(wasTold(bench), 'a repetition of what was read');
  bench.seg({ flags: 'AU', seq: 7, ack: 1, data: 'g', urgent: 1 });
  t.true(wasTold(bench));
  t.is(bench.stack.tcp.counters.urgentIn, 3);
});

test('[RFC 9293 MUST-33] how much is left is known, also of what has not come yet', (t) => {
  const bench = TcpBench.established();
  t.is(urgentBytes(bench.connection), 0);
  bench.seg({ flags: 'AU', seq: 1, ack: 1, data: 'abcd', urgent: 6 });
  t.is(urgentBytes(bench.connection), 6);
  bench.read(3);
  t.is(urgentBytes(bench.connection), 3);
  bench.read();
  t.is(urgentBytes(bench.connection), 2);
  bench.seg({ flags: 'A', seq: 5, ack: 1, data: 'efg' });
  t.is(urgentBytes(bench.connection), 2);
  bench.read();
  t.is(urgentBytes(bench.connection), 0);
});

test('a FIN behind urgent data does not count as data', (t) => {
  const bench = TcpBench.established();
  bench.seg({ flags: 'FAU', seq: 1, ack: 1, data: 'abc', urgent: 3 });
  t.is(urgentBytes(bench.connection), 3);
  bench.read(2);
  t.is(urgentBytes(bench.connection), 1);
});

test('[RFC 9293 MUST-66] the pointer of a segment at a closed window counts', (t) => {
  const bench = TcpBench.established({ recvRingBytes: 4096 });
  const { connection } = bench;
  const window = (connection.rcvAdv - connection.rcvNxt) | 0;
  for (let at = 0; at < window; at += 1000)
    bench.seg({ flags: 'A', seq: 1 + at, ack: 1, data: Math.min(1000, window - at) });
  t.is(connection.rcvAdv, connection.rcvNxt);
  bench.takeEvents();
  bench.seg({ flags: 'AU', seq: 1 + window, ack: 1, data: 1, urgent: 1 });
  t.true(wasTold(bench));
  t.is(urgentBytes(connection), window + 1);
});

test('in the manner of BSD the last urgent octet is read out of band, and left out of the stream', (t) => {
  const bench = TcpBench.established();
  const { connection } = bench;
  t.is(takeOutOfBand(connection), NO_URGENT);
  t.is(bytesToMark(connection), Infinity);
  bench.seg({ flags: 'AU', seq: 1, ack: 1, data: 'ab', urgent: 4 });
  t.is(takeOutOfBand(connection), URGENT_NOT_YET);
  bench.seg({ flags: 'A', seq: 3, ack: 1, data: 'cde' });
  t.is(takeOutOfBand(connection), 'd'.charCodeAt(0));
  t.is(bytesToMark(connection), 3);
  t.false(passMark(connection), 'the read position is not at the mark');
  t.is(bench.read(3), 'abc');
  t.is(bytesToMark(connection), 0);
  t.true(passMark(connection));
  t.is(takeOutOfBand(connection), NO_URGENT);
  t.is(bench.read(), 'e');
});

test('[RFC 9293 MUST-62] the pointer that is sent points behind the urgent data', (t) => {
  const bench = TcpBench.established();
  bench.write('abc');
  bench.take();
  bench.seg({ flags: 'A', seq: 1, ack: 4 });
  bench.connection.sendRing?.write(new TextEncoder().encode('URGENT'), 0, 6);
  bench.connection.appWroteUrgent();
  bench.settle();
  const [segment] = bench.take();
  t.is(segment?.flags, 'PAU');
  t.is(segment?.urgent, 6);
  bench.write('more');
  bench.seg({ flags: 'A', seq: 1, ack: 10 });
  const [next] = bench.take();
  t.is(next?.flags, 'PA', 'acknowledged: no longer urgent');
});

test('each segment of urgent data has a pointer of its own, however long the data is', (t) => {
  const bench = TcpBench.established({ txSegmentBytes: 65_536, sendRingBytes: 1 << 18 });
  const { connection } = bench;
  connection.sendRing?.write(new Uint8Array(100_000), 0, 100_000);
  connection.appWroteUrgent();
  bench.settle();
  let acked = 1;
  const pointers: number[] = [];
  while (acked < 100_001) {
    for (const segment of bench.take()) {
      t.is(segment.gsoBytes, 0);
      t.is(segment.urgent, Math.min(100_001 - segment.seq, 65_535));
      pointers.push(segment.urgent);
      acked = segment.seq + segment.length;
    }
    bench.seg({ flags: 'A', seq: 1, ack: acked });
  }
  t.is(pointers[0], 65_535);
  t.is(acked, 100_001);
});

test('a closed window keeps urgent data back, and not the news of it', (t) => {
  const bench = TcpBench.established();
  bench.seg({ flags: 'A', seq: 1, ack: 1, win: 0 });
  bench.connection.sendRing?.write(new Uint8Array(10), 0, 10);
  bench.connection.appWroteUrgent();
  bench.settle();
  const [segment] = bench.take();
  t.is(segment?.flags, 'AU');
  t.is(segment?.length, 0);
  t.is(segment?.urgent, 10);
});
