import test from 'ava';
import type { Route } from '../context.ts';
import type { NetError } from '../errors.ts';
import { SeededRandom } from '../random.ts';
import { Stack } from '../stack.ts';
import { HeapRings } from '../testing/heap-rings.ts';
import { RecordingSink } from '../testing/packet-sink.ts';
import { addressOf } from '../testing/packets.ts';
import type { IpCounters } from './counters.ts';
import {
  IPV4_MIN_PATH_MTU_BYTES,
  PATH_MTU_TIMEOUT_MS,
  REDUCED_PATH_MTU_ENTRIES,
  ROUTE_CACHE_ENTRIES,
} from './route-table.ts';
import { chooseSource, commonPrefixLength, compareDestinations } from './source-address.ts';

function makeStack(): Stack {
  return new Stack({ random: new SeededRandom(1), rings: new HeapRings(256, 256), now: 0 });
}

function add(
  stack: Stack,
  name: string,
  addresses: string[],
  gateways: string[] = [],
  mtuBytes = 1500,
): void {
  const capabilities = { mtuBytes, txChecksum: false, txSegmentBytes: 0 };
  stack.addInterface({ name, sink: new RecordingSink(), capabilities, addresses, gateways });
}

function twoLinks(): Stack {
  const stack = makeStack();
  add(stack, 'lab', ['10.0.0.2/8', 'fd00::2/64', 'fe80::2/64'], [], 9000);
  add(stack, 'out', ['10.1.0.2/16', '192.0.2.2/24', '2001:db8::2/64'], ['192.0.2.1', '2001:db8::1']);
  return stack;
}

function way(stack: Stack, to: string, from: string | null = null): string {
  const route = stack.ip.route(addressOf(to), from === null ? null : addressOf(from));
  return `${route.iface.name} ${route.source} ${route.nextHop} ${route.pathMtuBytes}`;
}

function failure(t: { throws<E extends Error>(f: () => unknown): E | undefined }, f: () => unknown): string {
  const error = t.throws<NetError>(f);
  return `${error?.tunwireCode} ${error?.phase}`;
}

// [RFC 1122 §3.2.1.3-1] [RFC 1122 §3.2.2.9-1] [RFC 1122 §3.3.1.1-1] [RFC 1122 §3.3.1.2-2]
test('the longest prefix wins, gateways take the rest', (t) => {
  const stack = twoLinks();
  t.is(way(stack, '10.9.9.9'), 'lab 10.0.0.2 10.9.9.9 9000');
  t.is(way(stack, '10.1.9.9'), 'out 10.1.0.2 10.1.9.9 1500');
  t.is(way(stack, '198.51.100.7'), 'out 192.0.2.2 192.0.2.1 1500');
  t.is(way(stack, 'fd00::99'), 'lab fd00::2 fd00::99 9000');
  t.is(way(stack, '2606::1'), 'out 2001:db8::2 2001:db8::1 1500');
});

// [RFC 1122 §3.3.6-4]
test('link-local, multicast and broadcast destinations are on the link', (t) => {
  const stack = twoLinks();
  t.is(way(stack, 'fe80::99'), 'lab fe80::2 fe80::99 9000');
  t.is(way(stack, 'ff02::fb'), 'lab fe80::2 ff02::fb 9000');
  t.is(way(stack, '255.255.255.255'), 'lab 10.0.0.2 255.255.255.255 9000');
  t.is(way(stack, '224.0.0.251', '192.0.2.2'), 'out 192.0.2.2 224.0.0.251 1500');
});

test('RFC 3927 §2.6.2: IPv4 link-local destinations are on the link; no default router gets them', (t) => {
  const stack = makeStack();
  add(stack, 'out', ['192.0.2.2/24'], ['192.0.2.1']);
  t.is(way(stack, '169.254.7.7'), 'out 192.0.2.2 169.254.7.7 1500');
  t.is(way(stack, '169.253.7.7'), 'out 192.0.2.2 192.0.2.1 1500');
  // as clouds have it: a route to just there
  stack.configure(stack.interfaces[0]!, 'dhcp', {
    addresses: [],
    routes: [
      {
        prefix: { address: addressOf('169.254.169.254'), prefixLength: 32 },
        gateway: addressOf('192.0.2.9'),
      },
    ],
    mtuBytes: Infinity,
  });
  t.is(way(stack, '169.254.169.254'), 'out 192.0.2.2 192.0.2.9 1500');
  add(stack, 'lab', ['169.254.1.1/16']);
  t.is(way(stack, '169.254.7.7'), 'lab 169.254.1.1 169.254.7.7 1500');
});

test('a given source decides the interface', (t) => {
  const stack = twoLinks();
  t.is(way(stack, '10.1.9.9', '10.0.0.2'), 'lab 10.0.0.2 10.1.9.9 9000');
  t.is(
    failure(t, () => way(stack, '10.1.9.9', '10.7.7.7')),
    'ADDRESS_NOT_AVAILABLE route',
  );
  t.is(
    failure(t, () => way(stack, '10.1.9.9', 'fd00::2')),
    'ADDRESS_NOT_AVAILABLE route',
  );
  t.is(
    failure(t, () => way(stack, '198.51.100.7', '10.0.0.2')),
    'NETWORK_UNREACHABLE route',
  );
});

test('nowhere to go', (t) => {
  const stack = makeStack();
  t.is(
    failure(t, () => way(stack, '192.0.2.9')),
    'NETWORK_UNREACHABLE route',
  );
  add(stack, 'v4', ['192.0.2.2/24'], ['2001:db8::1']);
  t.is(
    failure(t, () => way(stack, '198.51.100.7')),
    'NETWORK_UNREACHABLE route',
  );
  t.is(
    failure(t, () => way(stack, '2001:db8::9')),
    'ADDRESS_NOT_AVAILABLE route',
  );
  for (const to of ['0.0.0.0', '::', '127.0.0.1', '::1', '192.0.2.2'])
    t.is(
      failure(t, () => way(stack, to)),
      'NETWORK_UNREACHABLE route',
    );
});

// [RFC 1122 §3.3.1.6-1]
test('an interface added later changes the routes', (t) => {
  const stack = makeStack();
  add(stack, 'out', ['192.0.2.2/24'], ['192.0.2.1']);
  t.is(way(stack, '10.0.0.9'), 'out 192.0.2.2 192.0.2.1 1500');
  add(stack, 'lab', ['10.0.0.2/24']);
  t.is(way(stack, '10.0.0.9'), 'lab 10.0.0.2 10.0.0.9 1500');
});

// [RFC 1122 §3.2.1.3-5]
test('interfaces that cannot be are refused', (t) => {
  const bad: [string[], string[], number][] = [
    [['192.0.2.300/24'], [], 1500],
    [['192.0.2.2/33'], [], 1500],
    [['224.0.0.1/24'], [], 1500],
    [['127.0.0.1/8'], [], 1500],
    [['::/64'], [], 1500],
    [['192.0.2.2/24'], ['192.0.2.1/24'], 1500],
    [['192.0.2.2/24'], [], 67],
    [['192.0.2.2/24'], [], 65_536],
    [['2001:db8::1/64'], [], 1279],
  ];
  for (const [addresses, gateways, mtu] of bad)
    t.is(
      failure(t, () => add(makeStack(), 'x', addresses, gateways, mtu)),
      'ARGUMENT_INVALID argument',
    );
  t.notThrows(() => add(makeStack(), 'x', ['192.0.2.2'], [], 68));
});

test('RFC 6724 §5: scope, then the longest matching prefix', (t) => {
  const prefix = (text: string): { address: ReturnType<typeof addressOf>; prefixLength: number } => ({
    address: addressOf(text),
    prefixLength: 64,
  });
  const choose = (to: string, ...own: string[]): string =>
    String(chooseSource(own.map(prefix), addressOf(to)));
  for (const order of [0, 1]) {
    const own = (a: string, b: string): [string, string] => (order === 0 ? [a, b] : [b, a]);
    t.is(choose('2001:db8::9', ...own('fe80::1', '2001:db8::1')), '2001:db8::1');
    t.is(choose('fe80::9', ...own('fe80::1', '2001:db8::1')), 'fe80::1');
    t.is(choose('ff02::1', ...own('fe80::1', '2001:db8::1')), 'fe80::1');
    t.is(choose('ff0e::1', ...own('fe80::1', '2001:db8::1')), '2001:db8::1');
    t.is(choose('2001:db8:1::9', ...own('2001:db8:1::1', '2001:db8:2::1')), '2001:db8:1::1');
  }
  t.is(choose('192.0.2.1', '2001:db8::1'), 'null');
  t.is(commonPrefixLength(addressOf('192.0.2.1'), addressOf('192.0.3.1')), 23);
  t.is(commonPrefixLength(addressOf('2001:db8::1'), addressOf('2001:db8::1')), 128);
  t.is(commonPrefixLength(addressOf('2001:db8::'), addressOf('2001:db8:0:1::')), 63);
});

test('RFC 6724 §10.1: the label goes before the longest matching prefix', (t) => {
  const prefix = (text: string): { address: ReturnType<typeof addressOf>; prefixLength: number } => ({
    address: addressOf(text),
    prefixLength: 64,
  });
  const choose = (to: string, ...own: string[]): string =>
    String(chooseSource(own.map(prefix), addressOf(to)));
  for (const order of [0, 1]) {
    const own = (a: string, b: string): [string, string] => (order === 0 ? [a, b] : [b, a]);
    t.is(
      choose('2002:c633:6401::1', ...own('2001:db8:1::2', '2002:c633:6401::d5e3')),
      '2002:c633:6401::d5e3',
    );
    t.is(choose('2001:db8:1::1', ...own('2001:db8:3::2', 'fd00::2')), '2001:db8:3::2');
    t.is(choose('fd11::1', ...own('2001:db8:3::2', 'fd00::2')), 'fd00::2');
  }
});

test('RFC 6724 §6, §10.2: destinations in the order of the rules', (t) => {
  const way = (text: string): Parameters<typeof compareDestinations>[0] => {
    const [to = '', from = '', deprecated] = text.split(' ');
    return { address: addressOf(to), source: addressOf(from), isSourceDeprecated: deprecated !== undefined };
  };
  const firsts: [string, string][] = [
    // rule 2
    ['198.51.100.121 198.51.100.117', '2001:db8:1::1 fe80::1'],
    ['2001:db8:1::1 2001:db8:1::2', '198.51.100.121 169.254.13.78'],
    // rule 3
    ['2001:db8:2::1 2001:db8:2::2', '2001:db8:1::1 2001:db8:1::2 deprecated'],
    // rule 5
    ['2002:c633:6401::1 2002:c633:6401::2', '2001:db8:1::1 2002:c633:6401::2'],
    // rule 6
    ['2001:db8:1::1 2001:db8:1::2', '10.1.2.3 10.1.2.4'],
    ['2001:db8:1::1 2001:db8:1::2', '2002:c633:6401::1 2002:c633:6401::2'],
    // rule 8
    ['fe80::1 fe80::2', '2001:db8:1::1 2001:db8:1::2'],
    // rule 9
    ['2001:db8:1::1 2001:db8:1::2', '2001:db8:3ffe::1 2001:db8:3f44::2'],
  ];
  for (const [first, second] of firsts) {
    t.true(compareDestinations(way(first), way(second)) < 0, `${first} before ${second}`);
    t.true(compareDestinations(way(second), way(first)) > 0, `${second} after ${first}`);
  }
  t.is(compareDestinations(way('10.1.2.3 10.1.2.4'), way('10.200.2.3 10.1.2.4')), 0);
});

// [RFC 8201 §5.2-1] [RFC 8201 §5.3-1] [RFC 4821 §5.2-1] [RFC 4821 §5.2-2] [RFC 4821 §4-7]
// [RFC 1122 §3.3.1.2-1]
test('the path MTU is shared, has a lower bound, and is forgotten after ten minutes', (t) => {
  const stack = twoLinks();
  const { ip } = stack;
  const route = ip.route(addressOf('198.51.100.7'), null);
  t.is(ip.route(addressOf('198.51.100.7'), null), route);
  t.is(ip.route(addressOf('198.51.100.7'), addressOf('192.0.2.2')), route);
  const given = ip.route(addressOf('198.51.100.8'), addressOf('192.0.2.2'));
  t.is(ip.route(addressOf('198.51.100.8'), null), given);
  t.false(ip.reducePathMtu(route, 1500));
  t.true(ip.reducePathMtu(route, 1400));
  t.false(ip.reducePathMtu(route, 1400));
  t.is(ip.route(addressOf('198.51.100.7'), null).pathMtuBytes, 1400);
  stack.advance(1000);
  t.true(ip.reducePathMtu(route, 0));
  t.is(route.pathMtuBytes, IPV4_MIN_PATH_MTU_BYTES);
  const six = ip.route(addressOf('2606::1'), null);
  t.true(ip.reducePathMtu(six, 68));
  t.is(six.pathMtuBytes, 1280);
  stack.advance(PATH_MTU_TIMEOUT_MS + 999);
  t.is(route.pathMtuBytes, IPV4_MIN_PATH_MTU_BYTES);
  t.true(stack.nextDeadline() <= PATH_MTU_TIMEOUT_MS + 1000);
  stack.advance(PATH_MTU_TIMEOUT_MS + 1000);
  t.deepEqual([route.pathMtuBytes, six.pathMtuBytes], [1500, 1500]);
  t.is(stack.nextDeadline(), Infinity);
});

test('the tables are bounded', (t) => {
  const stack = twoLinks();
  const first = stack.ip.route(addressOf('10.0.0.9'), null);
  const routes: Route[] = [];
  for (let i = 0; i <= ROUTE_CACHE_ENTRIES; i++) {
    const to = `10.0.${1 + (i >> 8)}.${i & 255}`;
    if (to !== '10.0.0.2') routes.push(stack.ip.route(addressOf(to), null));
  }
  t.not(stack.ip.route(addressOf('10.0.0.9'), null), first);
  for (const route of routes) stack.ip.reducePathMtu(route, 1000);
  const counters = stack.counters.toJSON()['ip'] as unknown as IpCounters;
  t.is(counters.pathMtuReduced - counters.pathMtuRestored, REDUCED_PATH_MTU_ENTRIES);
});
