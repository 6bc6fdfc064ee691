import test from 'ava';
import { LocalPorts } from '../local-ports.ts';
import { SeededRandom } from '../random.ts';
import { addressOf } from '../testing/packets.ts';
import { EphemeralPorts } from './ephemeral-ports.ts';

const LOCAL = addressOf('192.0.2.1');
const REMOTE = addressOf('198.51.100.1');
const { tcp: RANGE } = new LocalPorts();
const always = (): boolean => true;

// [RFC 6056 §3.2-2]
test('RFC 6056 §3.3.4: the ports of one destination follow each other and all come before any comes again', (t) => {
  const ports = new EphemeralPorts(new SeededRandom(1));
  const seen = new Set<number>();
  let before = -1;
  for (let i = 0; i < RANGE.count; i++) {
    const port = ports.choose(RANGE, LOCAL, REMOTE, 80, always);
    if (before >= 0) t.is(port, before === 65_535 ? RANGE.first : before + 1);
    before = port;
    seen.add(port);
  }
  t.is(seen.size, RANGE.count);
});

// [RFC 6056 §3.3-1]
test('another destination, another address or another secret begins elsewhere', (t) => {
  const first = (seed: number, remote: string, port: number): number =>
    new EphemeralPorts(new SeededRandom(seed)).choose(RANGE, LOCAL, addressOf(remote), port, always);
  const firsts = [
    first(1, '198.51.100.1', 80),
    first(1, '198.51.100.1', 81),
    first(1, '198.51.100.2', 80),
    first(2, '198.51.100.1', 80),
  ];
  t.is(new Set(firsts).size, 4);
});

// [RFC 6056 §3.2-1]
test('ports in use are passed over, and when there are no others the answer is -1', (t) => {
  const ports = new EphemeralPorts(new SeededRandom(1));
  for (let i = 0; i < 3; i++)
    t.is(
      ports.choose(RANGE, LOCAL, REMOTE, 80, (port) => port === 40_000),
      40_000,
    );
  t.is(
    ports.choose(RANGE, LOCAL, REMOTE, 80, () => false),
    -1,
  );
});
