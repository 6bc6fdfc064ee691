import test from 'ava';
import { EthernetWire, type Station } from '../testing/ethernet-wire.ts';
import { addressOf, icmpMessage, ipPacket } from '../testing/packets.ts';
import { EtherType, writeEthernetHeader } from '../wire/ethernet.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { Slab } from '../wire/slab.ts';
import { stableAddress } from './interface-identifier.ts';
import { Slaac, SlaacCounters } from './slaac.ts';

const PREFIX = '2001:db8:1::';
const SECRET = Int32Array.of(1, 2, 3, 4);
const OURS = stableAddress(addressOf(PREFIX), 0x0200, 1, 0, SECRET);
const SOLICITATION = 135;
const ADVERTISEMENT = 136;
const OVERRIDE = 0x20;

interface Bed {
  readonly wire: EthernetWire;
  readonly own: Station;
  readonly peer: Station;
  readonly counters: SlaacCounters;
}

/** A station that has a link-local address and hears of a prefix. */
function bed(optimistic: boolean): Bed {
  const wire = new EthernetWire();
  const own = wire.add(1, []);
  const peer = wire.add(2, ['fe80::2/64', `${PREFIX}2/64`]);
  const counters = new SlaacCounters();
  new Slaac(
    own.stack,
    counters,
    own.link,
    SECRET,
    {
      configured: (settings) => own.stack.configure(own.iface, 'slaac', settings),
      serverAdvertised: () => {},
      nameServersLearned: () => {},
    },
    { optimistic },
  );
  wire.runFor(5000);
  wire.trace.length = 0;
  const option = Slab.alloc(32);
  option.bytes.set([3, 4, 64, 0xc0]);
  option.view.setUint32(4, 86_400);
  option.view.setUint32(8, 86_400);
  addressOf(PREFIX).write(option.view, 16);
  const body = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, ...option.bytes);
  const message = icmpMessage('fe80::1', 'ff02::1', 134, 0, 0x40_00_07_08, body);
  inject(own, ipPacket({ from: 'fe80::1', to: 'ff02::1', protocol: 58, ttl: 255 }, message));
  wire.settle();
  return { wire, own, peer, counters };
}

function inject(station: Station, packet: Uint8Array): void {
  const { view, bytes } = Slab.alloc(14 + packet.length);
  writeEthernetHeader(view, 0, 0x3333, 1, 0x0200, 77, EtherType.Ipv6);
  bytes.set(packet, 14);
  station.input(bytes);
}

interface Message {
  readonly type: number;
  readonly source: string;
  readonly target: string;
  readonly flags: number;
  /** Whether an option with a link address is in it. */
  readonly hasOption: boolean;
}

/** The neighbour messages that we have sent. */
function messages({ wire, own }: Bed): Message[] {
  return wire.trace.splice(0).flatMap(({ from, bytes }) => {
    const { view } = new Slab(bytes);
    if (from !== own || view.getUint16(12) !== EtherType.Ipv6 || bytes[20] !== 58) return [];
    const type = bytes[54]!;
    if (type !== SOLICITATION && type !== ADVERTISEMENT) return [];
    return {
      type,
      source: IpAddress.read(view, 22, 6).toString(),
      target: IpAddress.read(view, 62, 6).toString(),
      flags: bytes[58]!,
      hasOption: bytes.length > 78,
    };
  });
}

function owns({ own }: Bed, { w0, w1, w2, w3 }: IpAddress): boolean {
  return own.iface.owns(6, w0, w1, w2, w3);
}

test('RFC 4429: an address is used at once, with nothing that others could take for the truth', (t) => {
  const it = bed(true);
  t.true(owns(it, OURS));
  t.true(
    it.own.iface.addresses.find(({ address }) => address.equals(OURS))?.isDeprecated,
    'others go before',
  );
  // both ways, before it was even asked for
  const ping = it.own.stack.icmp.ping({ destination: addressOf(`${PREFIX}2`), count: 1 });
  const answered = it.peer.stack.icmp.ping({ destination: OURS, count: 1 });
  it.wire.settle();
  t.is(ping.take()?.outcome, 'reply');
  t.is(answered.take()?.outcome, 'reply');
  t.is(it.own.iface.tentative.length, 1);
  const sent = messages(it);
  const questions = sent.filter(({ type }) => type === SOLICITATION);
  t.true(questions.every(({ source, hasOption }) => source.startsWith('fe80:') || !hasOption));
  t.true(questions.every(({ source }) => source !== OURS.toString()));
  const answers = sent
    .filter(({ target }) => target === OURS.toString())
    .filter(({ type }) => type === ADVERTISEMENT);
  t.is(answers.length, 1);
  t.is(answers[0]!.flags & OVERRIDE, 0);
  // after its check it is like others
  it.wire.runFor(5000);
  t.is(it.own.iface.tentative.length, 0);
  t.not(it.own.iface.addresses.find(({ address }) => address.equals(OURS))?.isDeprecated, true);
  it.peer.link.ndp.solicit(it.peer.link.neighbours.obtain(OURS), false);
  it.wire.settle();
  const later = messages(it).filter(({ type }) => type === ADVERTISEMENT);
  t.true(later.length > 0 && later.every(({ flags }) => (flags & OVERRIDE) !== 0));
});

test('somebody has it: it is given up at once, and another one is used', (t) => {
  const it = bed(true);
  const body = new Uint8Array(24);
  OURS.write(new DataView(body.buffer), 0);
  body.set([2, 1, 2, 0, 0, 0, 0, 77], 16);
  const message = icmpMessage(OURS.toString(), 'ff02::1', ADVERTISEMENT, 0, 0x2000_0000, body);
  inject(it.own, ipPacket({ from: OURS.toString(), to: 'ff02::1', protocol: 58, ttl: 255 }, message));
  it.wire.settle();
  t.false(owns(it, OURS));
  t.is(it.counters.duplicates, 1);
  t.true(owns(it, stableAddress(addressOf(PREFIX), 0x0200, 1, 1, SECRET)));
  it.wire.runFor(5000);
  t.is(it.own.iface.tentative.length, 0);
});

test('without being asked for, nothing is optimistic', (t) => {
  const it = bed(false);
  t.false(owns(it, OURS));
  it.wire.runFor(5000);
  t.true(owns(it, OURS));
});
