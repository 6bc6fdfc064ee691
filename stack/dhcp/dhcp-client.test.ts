// sends any payload: a server's broken answer
import test from 'ava';
import { EthernetWire, type Station } from '../testing/ethernet-wire.ts';
import { foldChecksum, sumSlab } from '../wire/checksum.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { Slab } from '../wire/slab.ts';
import { DhcpClient, DhcpCounters } from './dhcp-client.ts';
import { type DhcpLease, settingsOf } from './dhcp-lease.ts';
import { type Answer, bytesOf, replyBytes, type SeenRequest, TestServer, word } from './test-server.ts';

const [DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE] = [1, 2, 3, 4, 5, 6, 7] as const;
const ADDRESS = '192.0.2.100';
const SECOND = 1000;
const LEASE_MS = 3600 * SECOND;

const OPTIONS: NonNullable<Answer['options']> = [
  [54, bytesOf('192.0.2.1')],
  [51, word(LEASE_MS / SECOND)],
  [1, bytesOf('255.255.255.0')],
  [3, bytesOf('192.0.2.1')],
  [26, [1400 >> 8, 1400 & 255]],
];

function generous({ type }: SeenRequest): Answer | null {
  if (type === DISCOVER) return { type: OFFER, address: ADDRESS, options: OPTIONS };
  return type === REQUEST ? { type: ACK, address: ADDRESS, options: OPTIONS } : null;
}

interface Bed {
  readonly wire: EthernetWire;
  readonly own: Station;
  readonly server: TestServer;
  readonly client: DhcpClient;
  readonly counters: DhcpCounters;
  /** What the owner was told. */
  readonly told: string[];
}

function bed(answer: TestServer['answer'] = generous): Bed {
  const wire = new EthernetWire();
  const own = wire.add(1, []);
  const server = new TestServer(wire, wire.add(2, ['192.0.2.1/24']));
  server.answer = answer;
  const told: string[] = [];
  const counters = new DhcpCounters();
  const { stack, iface } = own;
  const client = new DhcpClient(stack, stack.udp, counters, iface, own.link, {
    leased(lease: DhcpLease): void {
      told.push(`leased ${lease.address.address}`);
      stack.configure(iface, 'dhcp', settingsOf(lease));
    },
    leaseLost(): void {
      told.push('lost');
      stack.configure(iface, 'dhcp', null);
    },
  });
  return { wire, own, server, client, counters, told };
}

/** Runs until the lease is there. @returns when the request was answered */
function untilBound({ wire, server, client }: Bed): number {
  wire.runFor(10 * SECOND);
  if (client.state !== 'bound') throw new Error(client.state);
  return server.seen[1]!.atMs;
}

const kinds = ({ server }: Bed): number[] => server.seen.map(({ type }) => type);

test('a server that sends to the address it gives, against the flag, as passt does', (t) => {
  const b = bed();
  const { filter } = b.wire;
  b.wire.filter = (frame, from): boolean => {
    // from the server to all: to the address instead, the checksums made right again
    const view = new DataView(frame.buffer, frame.byteOffset);
    if (frame[23] === 17 && frame[37] === 68 && view.getInt32(30) === -1) {
      frame.set(bytesOf(ADDRESS), 30);
      view.setUint16(24, 0);
      view.setUint16(24, foldChecksum(sumSlab(new Slab(frame), 14, 20, 0)));
      view.setUint16(40, 0);
    }
    return filter(frame, from);
  };
  untilBound(b);
  t.is(b.own.stack.counters.toJSON()['ip']?.['dropNotForUs'], 0);
  t.false(b.own.iface.awaitsAddress);
  b.wire.runFor(LEASE_MS / 2 + SECOND);
  t.is(b.client.state, 'bound');
});

test('discover, offer, request, ack; the address is probed for, used and announced', (t) => {
  const b = bed();
  const { wire, own, server, client } = b;
  wire.runFor(100);
  t.is(client.state, 'probing');
  t.is(client.lease, null);
  t.deepEqual(own.iface.addresses, [], 'not before it is known to be free');
  untilBound(b);
  t.deepEqual(b.told, [`leased ${ADDRESS}`]);
  t.deepEqual(kinds(b), [DISCOVER, REQUEST]);
  const [discover, request] = server.seen as [SeenRequest, SeenRequest];
  t.is(discover.from, '0.0.0.0');
  t.is(discover.flags, 0x8000);
  t.is(discover.bytes.length, 300);
  t.is(discover.options.get(55), '017903060f1a333a3b');
  t.is(discover.options.get(57), '05c0');
  // RFC 4361: type 255, an identity association, a DUID of the station address
  t.is(discover.options.get(61), 'ff74756e7700030001020000000001');
  t.is(request.transactionId, discover.transactionId);
  t.is(request.options.get(50), 'c0000264');
  t.is(request.options.get(54), 'c0000201');
  // RFC 5227: three probes one to two seconds apart, then two announcements two seconds apart
  const arps = wire.trace.filter(({ from, bytes }) => from === own && bytes[12] === 8 && bytes[13] === 6);
  const senders = arps.map(({ bytes }) => Buffer.from(bytes.subarray(28, 32)).join('.'));
  t.deepEqual(senders, ['0.0.0.0', '0.0.0.0', '0.0.0.0', ADDRESS, ADDRESS]);
  for (const [i, least, most] of [
    [1, 1000, 2000],
    [2, 1000, 2000],
    [3, 2000, 2000],
    [4, 2000, 2000],
  ] as const) {
    const apart = arps[i]!.atMs - arps[i - 1]!.atMs;
    t.true(apart >= least - 1e-6 && apart <= most + 1e-6, `${i}: ${apart}`);
  }
  const route = own.stack.ip.route(IpAddress.parse('198.51.100.1')!, null);
  t.is(`${route.source} ${route.nextHop} ${route.pathMtuBytes}`, `${ADDRESS} 192.0.2.1 1400`);
});

test('nobody answers: retransmissions back off to a minute, with jitter', (t) => {
  const b = bed(() => null);
  b.wire.runFor(300 * SECOND);
  const at = b.server.seen.map(({ atMs }) => atMs);
  const gaps = at.slice(1).map((time, i) => time - at[i]!);
  for (const [i, expected] of [4, 8, 16, 32, 64, 64].entries())
    t.true(Math.abs(gaps[i]! - expected * SECOND) <= SECOND, `${i}: ${gaps[i]}`);
  t.true(gaps.some((gap) => gap % SECOND !== 0));
  t.is(new Set(b.server.seen.map(({ transactionId }) => transactionId)).size, 1);
  t.is(b.counters.sentDiscover, at.length);
});

test('a server that offers and then is silent: four requests, then the search begins again', (t) => {
  const b = bed((request) => (request.type === DISCOVER ? generous(request) : null));
  b.wire.runFor(70 * SECOND);
  t.deepEqual(kinds(b).slice(0, 6), [DISCOVER, REQUEST, REQUEST, REQUEST, REQUEST, DISCOVER]);
  t.not(b.server.seen[5]!.transactionId, b.server.seen[0]!.transactionId);
});

test('T1: the server is asked; its answer makes the lease longer', (t) => {
  const b = bed();
  const began = untilBound(b);
  b.wire.runFor(began + LEASE_MS / 2 - b.wire.nowMs - 1);
  t.is(b.server.seen.length, 2);
  b.wire.runFor(2);
  const renewal = b.server.seen[2]!;
  t.is(renewal.type, REQUEST);
  t.is(renewal.from, ADDRESS);
  t.is(renewal.clientAddress, ADDRESS);
  t.is(renewal.flags, 0);
  t.false(renewal.options.has(50) || renewal.options.has(54), 'RFC 2131 table 5');
  t.is(b.client.state, 'bound');
  t.is(b.counters.renewed, 1);
  t.is(b.client.lease!.expiresAtMs, renewal.atMs + LEASE_MS);
});

test('T1, T2, expiry: silence from the server; then another search', (t) => {
  const b = bed();
  const began = untilBound(b);
  b.server.answer = (): null => null;
  b.wire.runFor(began + LEASE_MS * (7 / 8) - b.wire.nowMs - 1);
  t.is(b.client.state, 'renewing');
  const renewals = b.server.seen.slice(2).map(({ atMs }) => (atMs - began) / SECOND);
  // half of what is left until T2 at 3,150 s, but not less than a minute
  t.deepEqual(renewals.map(Math.round), [1800, 2475, 2813, 2981, 3066, 3126]);
  b.wire.runFor(2);
  t.is(b.client.state, 'rebinding');
  const rebinding = b.server.seen.at(-1)!;
  t.is(rebinding.clientAddress, ADDRESS);
  const frame = b.wire.trace.findLast(({ from, bytes }) => from === b.own && bytes.length > 300)!.bytes;
  t.is(Buffer.from(frame.subarray(0, 6)).toString('hex'), 'ffffffffffff');
  b.wire.runFor(began + LEASE_MS - b.wire.nowMs - 2);
  t.deepEqual(b.told, [`leased ${ADDRESS}`]);
  b.wire.runFor(4);
  t.deepEqual(b.told, [`leased ${ADDRESS}`, 'lost']);
  t.deepEqual(b.own.iface.addresses, []);
  t.is(b.server.seen.at(-1)!.type, DISCOVER);
  t.is(b.counters.expired, 1);
});

test('a refusal of the renewal ends the lease at once', (t) => {
  const b = bed();
  const began = untilBound(b);
  b.server.answer = (request): Answer | null =>
    request.type === REQUEST ? { type: NAK, options: [[54, bytesOf('192.0.2.1')]] } : null;
  b.wire.runFor(began + LEASE_MS / 2 - b.wire.nowMs + 1);
  t.deepEqual(b.told, [`leased ${ADDRESS}`, 'lost']);
  t.is(b.counters.receivedNak, 1);
  t.is(b.server.seen.at(-1)!.type, DISCOVER);
});

test('a server that offers and refuses is not asked without end', (t) => {
  const b = bed((request) => (request.type === DISCOVER ? generous(request) : { type: NAK }));
  b.wire.runFor(120 * SECOND);
  t.true(b.counters.receivedNak >= 4 && b.counters.receivedNak <= 8, String(b.counters.receivedNak));
});

test('somebody has the address: it is declined, and ten seconds later the search begins again', (t) => {
  const b = bed();
  b.wire.add(3, [`${ADDRESS}/24`]);
  b.wire.runFor(5 * SECOND);
  t.deepEqual(kinds(b), [DISCOVER, REQUEST, DECLINE]);
  const decline = b.server.seen[2]!;
  t.is(decline.from, '0.0.0.0');
  t.is(decline.clientAddress, '0.0.0.0');
  t.is(decline.options.get(50), 'c0000264');
  t.is(decline.options.get(54), 'c0000201');
  t.false(decline.options.has(55));
  t.deepEqual(b.told, []);
  b.wire.runFor(6 * SECOND);
  t.deepEqual(kinds(b).slice(3, 5), [DISCOVER, REQUEST]);
  t.true(b.server.seen[3]!.atMs - decline.atMs >= 10 * SECOND);
});

test('two clients that probe for the same address at the same time both let it go', (t) => {
  const b = bed();
  const other = b.wire.add(3, []);
  b.wire.runFor(100);
  other.link.arp.probe(IpAddress.parse(ADDRESS)!.w3);
  b.wire.runFor(100);
  t.is(b.counters.conflicts, 1);
  t.is(b.server.seen.at(-1)!.type, DECLINE);
});

test('an acknowledgment without the address, or without a time, is none', (t) => {
  const broken: Answer[] = [
    { type: ACK, options: OPTIONS },
    { type: ACK, address: ADDRESS, options: OPTIONS.filter(([number]) => number !== 51) },
  ];
  let acknowledged = 0;
  const b = bed((request) => {
    if (request.type !== REQUEST) return generous(request);
    return broken[acknowledged++] ?? generous(request);
  });
  b.wire.runFor(60 * SECOND);
  t.is(b.counters.dropUnusable, broken.length);
  t.is(b.client.state, 'bound');
});

test('a server that there is no way to: renewals are counted as not sent, and the lease goes on by asking all', (t) => {
  const options = OPTIONS.filter(([number]) => number !== 3).map(
    ([number, value]) => [number, number === 54 ? bytesOf('198.51.100.1') : value] as const,
  );
  const b = bed(({ type }) => {
    if (type === DISCOVER) return { type: OFFER, address: ADDRESS, options };
    return type === REQUEST ? { type: ACK, address: ADDRESS, options } : null;
  });
  b.wire.runFor(10 * SECOND);
  t.is(b.client.state, 'bound');
  b.wire.runFor(LEASE_MS * 0.6);
  t.is(b.client.state, 'renewing');
  t.true(b.counters.sendFailed > 0);
  b.wire.runFor(LEASE_MS * 0.3);
  t.is(b.client.state, 'bound', 'at T2 it asks by broadcast');
  t.deepEqual(b.told, [`leased ${ADDRESS}`, `leased ${ADDRESS}`]);
});

test('close releases the lease, and nothing is sent after it', (t) => {
  const b = bed();
  untilBound(b);
  b.client.close();
  b.client.close();
  b.wire.settle();
  const release = b.server.seen.at(-1)!;
  t.deepEqual([release.type, release.from, release.clientAddress], [RELEASE, ADDRESS, ADDRESS]);
  t.is(release.options.get(54), 'c0000201');
  t.false(release.options.has(50));
  t.is(b.told.at(-1), 'lost');
  const frames = b.wire.trace.length;
  b.wire.runFor(2 * LEASE_MS);
  t.is(b.wire.trace.length, frames);
  t.is(b.own.stack.timers.size, 0);
});

test('answers to others, to nothing, of other servers, with other addresses, and noise are dropped and counted', (t) => {
  const b = bed(() => null);
  const { server, counters, wire, client } = b;
  wire.settle();
  const discover = server.seen[0]!;
  const offer = { type: OFFER, address: ADDRESS, options: OPTIONS };
  const put = (answer: Answer): void => {
    server.send(replyBytes(server.seen.at(-1)!, answer));
    wire.settle();
  };
  put({ ...offer, transactionId: discover.transactionId ^ 1 });
  put({ ...offer, hardware: Uint8Array.of(2, 0, 0, 0, 0, 9) });
  t.is(counters.dropNotForUs, 2);
  put({ ...offer, type: ACK });
  put({ ...offer, type: NAK });
  put({ ...offer, type: 9 });
  t.is(counters.dropUnexpected, 3);
  put({ ...offer, options: [] });
  t.is(counters.dropUnusable, 1);
  server.send(Uint8Array.of(2, 1, 6));
  wire.settle();
  t.is(counters.dropMalformed, 1);
  t.is(client.state, 'selecting');
  put(offer);
  t.is(client.state, 'requesting');
  put(offer);
  put({ ...offer, type: ACK, address: '192.0.2.101' });
  put({
    ...offer,
    type: ACK,
    options: [
      [54, bytesOf('192.0.2.9')],
      [51, word(3600)],
    ],
  });
  t.is(counters.dropUnexpected, 6);
  t.is(client.state, 'requesting');
  put({ ...offer, type: ACK });
  t.is(client.state, 'probing');
});

test('the same seed, the same frames', (t) => {
  const run = (): string => {
    const b = bed();
    b.wire.runFor(2 * LEASE_MS);
    return b.wire.trace.map(({ atMs, bytes }) => `${atMs} ${Buffer.from(bytes).toString('hex')}`).join('\n');
  };
  t.is(run(), run());
});
