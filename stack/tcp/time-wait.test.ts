import test from 'ava';
import { StackPair } from '../testing/stack-pair.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { TcpConnection } from './connection.ts';
import { TcpListener } from './listener.ts';
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
