import test from 'ava';
import { Counters } from '../stack/counters.ts';
import { DropWatch } from '../stack/drop-watch.ts';
import type { HookedPacket, PacketInjector } from '../stack/packet-hook.ts';
import { Arena } from './arena.ts';
import { type EngineNotice, hearNotice, type Packets } from './notices.ts';
import { MAX_UNHEARD_PACKETS, PacketTeller } from './packet-teller.ts';

const injector: PacketInjector = { inject: () => {} };
const packet = (direction: 'in' | 'out'): HookedPacket => ({
  direction,
  interface: 'lab0',
  now: 0,
  ipOff: 0,
  bytes: new Uint8Array([1]),
  comment: '',
});

test('a starter that does not listen costs a bounded number of packets, and is told how many it has missed', (t) => {
  const arena = Arena.create({ maxSockets: 16, poolBytes: 1 << 20 });
  const told: EngineNotice[] = [];
  const teller = new PacketTeller(arena, new DropWatch(new Counters()), null, (notice) => told.push(notice));
  for (let i = 0; i < MAX_UNHEARD_PACKETS + 5; i++) teller.hook(packet('in'), injector);
  teller.endTurn();
  teller.endTurn();
  t.is(told.length, 1);
  t.is((told[0] as Packets).packets.length, MAX_UNHEARD_PACKETS);
  hearNotice(arena, told[0]!);
  teller.hook(packet('out'), injector);
  teller.endTurn();
  t.like((told[1] as Packets).packets, [{ direction: 'out', missed: 5 }]);
});

test('what the hook of an application drops on its way out is not told, and it alters what is told', (t) => {
  const arena = Arena.create({ maxSockets: 16, poolBytes: 1 << 20 });
  const told: EngineNotice[] = [];
  const hook = (each: HookedPacket): boolean => {
    each.bytes[0] = 2;
    return each.direction === 'in';
  };
  const teller = new PacketTeller(arena, new DropWatch(new Counters()), hook, (notice) => told.push(notice));
  t.true(teller.hook(packet('in'), injector));
  t.false(teller.hook(packet('out'), injector));
  teller.endTurn();
  const { packets } = told[0] as Packets;
  t.deepEqual(
    packets.map(({ direction, bytes }) => [direction, bytes[0]]),
    [['in', 1]],
  );
});
