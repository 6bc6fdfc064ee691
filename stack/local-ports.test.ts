import test from 'ava';
import { NetError } from './errors.ts';
import { LocalPorts, type PortSettings } from './local-ports.ts';
import { SeededRandom } from './random.ts';
import { TcpBench } from './tcp/testing.ts';

test('ranges that cannot be are refused', (t) => {
  const wrong: PortSettings[] = [
    { ephemeral: [0, 10] },
    { ephemeral: [10, 9] },
    { ephemeral: [60_000, 65_536] },
    { reserved: [1.5, 10] },
    { ephemeral: [2000, 2010], reserved: [1000, 3000] },
  ];
  for (const settings of wrong)
    t.like(
      t.throws(() => new LocalPorts().use(settings), { instanceOf: NetError }),
      {
        tunwireCode: 'ARGUMENT_INVALID',
      },
    );
});

test('what is chosen is of the ephemeral range and never reserved; reserved ones go to who asks', (t) => {
  const bench = new TcpBench();
  const { ports, tcp, udp } = bench.stack;
  ports.use({ ephemeral: [40_000, 40_009], reserved: [40_002, 40_004] });
  const connected = Array.from({ length: 7 }, () => bench.connect().localPort);
  t.deepEqual(connected.sort(), [40_000, 40_001, 40_005, 40_006, 40_007, 40_008, 40_009]);
  t.like(
    t.throws(() => bench.connect(), { instanceOf: NetError }),
    { tunwireCode: 'ADDRESS_NOT_AVAILABLE' },
  );
  const asked = Array.from({ length: 3 }, () => bench.connect({ localPort: -1 }).localPort);
  t.deepEqual(asked, [40_004, 40_003, 40_002]);
  const bound = Array.from(
    { length: 7 },
    () => udp.open({ local: null, localPort: 0, remote: null, remotePort: 0, broadcast: false }).localPort,
  );
  t.deepEqual(bound.sort(), connected);
  const other = new TcpBench();
  other.stack.ports.use({ ephemeral: [40_000, 40_002], reserved: [40_001, 40_001] });
  const listening = [0, 1].map(() => other.stack.tcp.listen({ local: null, port: 0, backlog: 1 }).localPort);
  t.deepEqual(listening.sort(), [40_000, 40_002]);
  const random = new SeededRandom(1);
  for (let i = 0; i < 100; i++) t.true([40_000, 40_002].includes(other.stack.ports.random(random)));
  t.is(tcp.table.size, 10);
});
