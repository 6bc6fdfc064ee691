import test from 'ava';
import { bytesOf, TestServer, word } from '../stack/dhcp/test-server.ts';
import { EthernetWire, type Station } from '../stack/testing/ethernet-wire.ts';
import { addressOf } from '../stack/testing/packets.ts';
import { AddressConfiguration } from './address-configuration.ts';

const SECOND = 1000;
const LEASED = '192.0.2.100';
const DISCOVER = 1;

interface Bed {
  readonly wire: EthernetWire;
  readonly own: Station;
  readonly configuration: AddressConfiguration;
  /** There is a server from now on. */
  readonly serve: () => void;
}

function bed(addresses: readonly string[]): Bed {
  const wire = new EthernetWire();
  const own = wire.add(1, []);
  const server = new TestServer(wire, wire.add(2, ['192.0.2.1/24', '169.254.7.7/16']));
  const configuration = new AddressConfiguration(
    own.stack,
    own.iface,
    { addresses },
    { nameServers: () => {} },
  );
  const options = [
    [54, bytesOf('192.0.2.1')],
    [51, word(3600)],
    [1, bytesOf('255.255.255.0')],
    [3, bytesOf('192.0.2.1')],
  ] as const;
  const serve = (): void => {
    server.answer = ({ type }) => ({ type: type === DISCOVER ? 2 : 5, address: LEASED, options });
  };
  return { wire, own, configuration, serve };
}

const addresses = ({ own }: Bed): string[] => own.iface.addresses.map(({ address }) => address.toString());

test('link-local beside dhcp: a server that answers is enough', (t) => {
  const b = bed(['dhcp', 'link-local']);
  b.serve();
  t.is(b.configuration.awaited, 'an address from a DHCP server');
  b.wire.runFor(60 * SECOND);
  t.is(b.configuration.awaited, '');
  t.deepEqual(addresses(b), [LEASED]);
});

test('no server: after ten seconds an address is chosen; a lease that comes later is used for all but the link', (t) => {
  const b = bed(['dhcp', 'link-local']);
  b.wire.runFor(9 * SECOND);
  t.is(b.configuration.awaited, 'an address from a DHCP server');
  b.wire.runFor(10 * SECOND);
  t.is(b.configuration.awaited, '');
  const [chosen] = addresses(b);
  t.regex(chosen!, /^169\.254\./);
  const way = (to: string): string => {
    const { source, nextHop } = b.own.stack.ip.route(addressOf(to), null);
    return `${source} ${nextHop}`;
  };
  t.is(way('169.254.7.7'), `${chosen} 169.254.7.7`);
  t.throws(() => way('198.51.100.1'), { message: /no interface/ });
  b.serve();
  b.wire.runFor(120 * SECOND);
  t.deepEqual(addresses(b).sort(), [chosen!, LEASED].sort());
  t.is(way('169.254.7.7'), `${chosen} 169.254.7.7`);
  t.is(way('198.51.100.1'), `${LEASED} 192.0.2.1`);
  b.configuration.close();
  // the lease is given back
  b.wire.runFor(30 * SECOND);
  const frames = b.wire.trace.length;
  b.wire.runFor(3600 * SECOND);
  t.is(b.wire.trace.filter(({ from }, i) => i >= frames && from === b.own).length, 0);
});

test('link-local alone: waited for, and chosen at once', (t) => {
  const b = bed(['link-local']);
  t.is(b.configuration.awaited, 'a link-local address that nobody has');
  b.wire.runFor(8 * SECOND);
  t.is(b.configuration.awaited, '');
  t.regex(addresses(b)[0]!, /^169\.254\./);
});
