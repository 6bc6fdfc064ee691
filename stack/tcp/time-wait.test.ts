import test from 'ava';
import { StackPair } from '../testing/stack-pair.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { TcpConnection } from './connection.ts';
import { TcpListener } from './listener.ts';
import { brief, TcpBench } from './testing.ts';
import { MAX_TIME_WAIT, TIME_WAIT_MS } from './time-wait.ts';

test('[MUST-13] with more closes than TIME-WAIT has room for, the oldest gives way and every last ACK is sent', (t) => {
  const pair = new StackPair({ startMs: 0, sendRingBytes: 1024, recvRingBytes: 65_536 });
  pair.onEvents = (endpoint) => {
    if (endpoint instanceof TcpListener) endpoint.accept();
    // each closes as soon as it can: the client first, the server after the client's FIN
    else if (endpoint instanceof TcpConnection && (!endpoint.passive || endpoint.finSeen)) endpoint.close();
  };
  pair.b.tcp.listen({ local: null, port: 80, backlog: 16 });
  const closes = MAX_TIME_WAIT + 500;
  for (let i = 0; i < closes; i++) {
    pair.a.tcp.connect({
      remote: IpAddress.parse('192.0.2.2') as IpAddress,
      remotePort: 80,
      local: null,
      localPort: 0,
      noDelay: true,
      keepAlive: null,
    });
    pair.runFor(2);
  }
  pair.runFor(10);
  t.is(pair.a.tcp.counters.timeWaitOverflows, 500);
  t.is(pair.a.tcp.timeWaits.size, MAX_TIME_WAIT);
  t.is(pair.a.tcp.counters.retransmits + pair.b.tcp.counters.retransmits, 0);
  t.is(pair.b.tcp.table.size, 0, 'every server side got the ACK of its FIN');
  pair.runFor(TIME_WAIT_MS);
  t.is(pair.a.tcp.timeWaits.size, 0);
  t.is(pair.a.tcp.table.size, 0);
});

test('RFC 9293 §3.10.7.4: a repeated FIN begins the wait of its connection anew, not that of the others', (t) => {
  const bench = new TcpBench();
  const wait = (localPort: number): void => {
    bench.connect({ localPort });
    bench.seg({ flags: 'SA', seq: 0, ack: 1 });
    bench.connection.close();
    bench.settle();
    bench.seg({ flags: 'FA', seq: 1, ack: 2 });
  };
  const { timeWaits, table } = bench.stack.tcp;
  for (const port of [7000, 7001, 7002]) wait(port);
  bench.wait(TIME_WAIT_MS / 2);
  bench.ownPort = 7000;
  bench.take();
  bench.seg({ flags: 'FA', seq: 1, ack: 2 });
  t.deepEqual(brief(bench.take()), ['A 2 ack 2 len 0']);
  bench.wait(TIME_WAIT_MS / 2);
  t.is(timeWaits.size, 1);
  t.is(table.usesOfPort(7000), 1);
  bench.wait(TIME_WAIT_MS / 2 - 1);
  t.is(timeWaits.size, 1);
  bench.wait(1);
  t.is(timeWaits.size, 0);
  t.is(table.size, 0);
  // one that comes after all have gone has its own minute
  wait(7003);
  bench.wait(TIME_WAIT_MS - 1);
  t.is(timeWaits.size, 1);
  bench.wait(1);
  t.is(timeWaits.size, 0);
});
