import test from 'ava';
import { fc } from '../../test/properties.ts';
import { EthernetWire, type Station } from '../testing/ethernet-wire.ts';
import { addressOf } from '../testing/packets.ts';
import { Slab } from '../wire/slab.ts';
import { DhcpV6Counters, DhcpV6InformationClient } from './dhcpv6-information.ts';
import { parseInformationReply } from './dhcpv6-message.ts';

const SECOND = 1000;

interface Bed {
  readonly wire: EthernetWire;
  readonly own: Station;
  readonly counters: DhcpV6Counters;
  readonly told: string[];
  /** Requests, as the server got them. */
  readonly requests: { readonly atMs: number; readonly bytes: Uint8Array }[];
  reply: (request: Uint8Array) => number[] | null;
}

const optionOf = (type: number, value: readonly number[]): number[] => [0, type, 0, value.length, ...value];
const DNS: number[] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53];
const LAB: number[] = [3, 0x4c, 0x61, 0x62, 4, 0x74, 0x65, 0x73, 0x74, 0];
const SERVER = optionOf(2, [0, 3, 0, 1, 2, 0, 0, 0, 0, 2]);

/** An answer with the request's transaction and client. */
function answer(request: Uint8Array, ...options: number[][]): number[] {
  return [7, ...request.subarray(1, 4), ...request.subarray(4, 18), ...options.flat()];
}

function bed(own6 = ['fe80::1/64']): Bed {
  const wire = new EthernetWire();
  const own = wire.add(1, own6);
  const server = wire.add(2, ['fe80::2/64']);
  const counters = new DhcpV6Counters();
  const told: string[] = [];
  const b: Bed = {
    wire,
    own,
    counters,
    told,
    requests: [],
    reply: (request) => answer(request, SERVER, optionOf(23, DNS), optionOf(24, LAB)),
  };
  const socket = server.stack.udp.open({
    local: null,
    localPort: 547,
    remote: null,
    remotePort: 0,
    broadcast: false,
    receiver: {
      datagram: (to, slab, off, length, from, port) => {
        const bytes = slab.bytes.slice(off, off + length);
        b.requests.push({ atMs: wire.nowMs, bytes });
        const reply = b.reply(bytes);
        if (reply !== null) to.sendTo(Uint8Array.from(reply), 0, reply.length, from, port);
      },
    },
  });
  socket.multicast.join(addressOf('ff02::1:2'), null, null);
  new DhcpV6InformationClient(own.stack, own.stack.udp, counters, own.link, {
    informed: (servers, domains) => told.push(`${servers.join(' ')}; ${domains.join(' ')}`),
  });
  return b;
}

test('name servers and domains are asked for, and again after a day', (t) => {
  const b = bed();
  b.wire.runFor(2 * SECOND);
  t.deepEqual(b.told, ['2001:db8::53; lab.test']);
  t.deepEqual(
    [...b.requests[0]!.bytes],
    [
      ...[11, ...b.requests[0]!.bytes.subarray(1, 4), 0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 1],
      ...[0, 8, 0, 2, 0, 0, 0, 6, 0, 6, 0, 23, 0, 24, 0, 32],
    ],
  );
  b.wire.runFor(86_398 * SECOND);
  t.is(b.requests.length, 1);
  b.wire.runFor(4 * SECOND);
  t.is(b.requests.length, 2);
  t.notDeepEqual(b.requests[0]!.bytes.subarray(1, 4), b.requests[1]!.bytes.subarray(1, 4));
});

test('without an answer it is asked again, after longer and longer times', (t) => {
  const b = bed();
  b.reply = () => null;
  b.wire.runFor(70 * SECOND);
  const gaps = b.requests.slice(1).map(({ atMs }, i) => atMs - b.requests[i]!.atMs);
  t.true(gaps.length >= 5);
  t.true(gaps[0]! >= 900 && gaps[0]! <= 1100);
  for (let i = 1; i < gaps.length; i++)
    t.true(gaps[i]! / gaps[i - 1]! > 1.7 && gaps[i]! / gaps[i - 1]! < 2.3);
  t.is(b.requests[1]!.bytes[23], Math.floor(gaps[0]! / 10), 'elapsed time');
});

test('without an address to ask from nothing is sent, and asked again later', (t) => {
  const b = bed([]);
  b.wire.runFor(3 * SECOND);
  t.true(b.counters.sendFailed > 0);
  t.is(b.counters.sent, 0);
  b.own.stack.configure(b.own.iface, 'slaac', {
    addresses: [{ address: addressOf('fe80::1'), prefixLength: 64 }],
    routes: [],
    mtuBytes: Infinity,
  });
  b.wire.runFor(60 * SECOND);
  t.deepEqual(b.told, ['2001:db8::53; lab.test']);
});

test('the server says when to ask again, but not all too soon', (t) => {
  const b = bed();
  b.reply = (request) => answer(request, SERVER, optionOf(32, [0, 0, 0, 1]));
  b.wire.runFor(599 * SECOND);
  t.is(b.requests.length, 1);
  b.wire.runFor(3 * SECOND);
  t.is(b.requests.length, 2);
});

test('what is no answer to us is dropped', (t) => {
  const b = bed();
  const wrong: ((request: Uint8Array) => number[])[] = [
    (request) => answer(request),
    (request) => [2, ...answer(request, SERVER).slice(1)],
    (request) => answer(request, SERVER).map((byte, i) => (i === 2 ? byte ^ 1 : byte)),
    (request) => answer(request, SERVER).map((byte, i) => (i === 17 ? byte ^ 1 : byte)),
    (request) => answer(request, SERVER).slice(0, -1),
  ];
  let turn = 0;
  b.reply = (request) => wrong[turn++]?.(request) ?? null;
  b.wire.runFor(60 * SECOND);
  t.true(b.requests.length >= wrong.length);
  t.deepEqual(b.told, []);
  t.is(b.counters.dropInvalid, wrong.length);
});

test('whatever comes, nothing is thrown', (t) => {
  const whole = [
    7,
    0,
    0,
    1,
    ...SERVER,
    ...optionOf(23, DNS),
    ...optionOf(24, LAB),
    ...optionOf(32, [0, 0, 0, 9]),
  ];
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 6 }),
      fc.nat(whole.length),
      (changes, length) => {
        const bytes = Uint8Array.from(whole);
        for (const [at, value] of changes) bytes[at] = value;
        parseInformationReply(new Slab(bytes).view, 0, length, 1, 0x0200, 1);
      },
    ),
    { numRuns: 3000 },
  );
  t.not(parseInformationReply(new Slab(Uint8Array.from(whole)).view, 0, whole.length, 1, 0x0200, 1), null);
});
