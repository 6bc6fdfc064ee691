import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { NetError } from '../stack/errors.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import type { Device } from './device.ts';
import { createMemoryHub, MAX_HUB_ADDRESSES, MAX_HUB_PORTS, openMemoryHub } from './hub.ts';
import { clearEvent, eventfd, POLLIN, PollSet } from './syscalls.ts';
import { Lab } from './testing/lab.ts';
import { Collector } from './testing/packets.ts';
import { bytesOf, echoRequest } from './testing/raw-packets.ts';

const v4 = (host: number): string => `192.0.2.${host + 1}`;
const v6 = (host: number): string => `2001:db8::${host + 1}`;
const ping = (from: string, to: string): ReturnType<typeof echoRequest> =>
  echoRequest({ source: from, destination: to }, new Uint8Array(20));

/** What each device got since it was asked last. */
function received(devices: readonly Device[]): number[] {
  return devices.map((device) => {
    const got = new Collector();
    while (device.receive(got, 2) > 0) {}
    return got.count;
  });
}

for (const address of [v4, v6]) {
  test(`packets go to all ports until their destination is known, then to its port (${address(0)})`, (t) => {
    const devices = createMemoryHub({ ports: 4 }).map((port) => openMemoryHub(port));
    const packet = ping(address(0), address(2));
    t.true(devices[0]!.send(packet));
    const got = new Collector();
    t.is(devices[2]!.receive(got, 8), 1);
    t.deepEqual(got.packets, [bytesOf(packet)]);
    t.deepEqual(received(devices), [0, 1, 0, 1]);
    // all have learned the sender, 0 does not yet know 2
    devices[2]!.send(ping(address(2), address(0)));
    t.deepEqual(received(devices), [1, 0, 0, 0]);
    devices[0]!.send(ping(address(0), address(2)));
    t.deepEqual(received(devices), [0, 0, 1, 0]);
    devices[1]!.send(ping(address(1), address(2)));
    t.deepEqual(received(devices), [1, 0, 1, 1]);
    // the address moves
    devices[3]!.send(ping(address(2), address(0)));
    t.deepEqual(received(devices), [1, 0, 0, 0]);
    devices[0]!.send(ping(address(0), address(2)));
    t.deepEqual(received(devices), [0, 0, 0, 1]);
    t.is(devices[0]!.counters.rxPackets, 3);
  });
}

test('groups and the unspecified address are never learned', (t) => {
  const devices = createMemoryHub({ ports: 3 }).map((port) => openMemoryHub(port));
  for (const [source, group] of [
    ['224.0.0.5', '224.0.0.5'],
    ['255.255.255.255', '255.255.255.255'],
    ['0.0.0.0', '0.0.0.0'],
    ['ff02::1', 'ff02::1'],
    ['::', '::'],
  ] as const) {
    devices[1]!.send(ping(source, source.includes(':') ? v6(0) : v4(0)));
    received(devices);
    devices[0]!.send(ping(source.includes(':') ? v6(0) : v4(0), group));
    t.deepEqual(received(devices), [0, 1, 1], group);
  }
});

test('what is learned is bounded, and the rest still arrives', (t) => {
  const devices = createMemoryHub({ ports: 3 }).map((port) => openMemoryHub(port));
  for (let i = 0; i <= MAX_HUB_ADDRESSES; i++) {
    devices[1]!.send(ping(`10.0.${i >>> 8}.${i & 255}`, v4(0)));
    if (i % 100 === 0) received(devices);
  }
  received(devices);
  devices[0]!.send(ping(v4(0), '10.0.9.9'));
  t.deepEqual(received(devices), [0, 1, 0]);
  devices[0]!.send(ping(v4(0), '10.0.0.0'));
  t.deepEqual(received(devices), [0, 1, 1]);
});

test('no link is starved, and the budget holds', (t) => {
  const devices = createMemoryHub({ ports: 4 }).map((port) => openMemoryHub(port));
  for (const from of [1, 2, 3]) for (let i = 0; i < 4; i++) devices[from]!.send(ping(v4(from), v4(0)));
  const got = new Collector();
  for (let i = 0; i < 3; i++) t.is(devices[0]!.receive(got, 2), 2);
  const senders = got.packets.map((bytes) => bytes[15]);
  t.deepEqual(senders, [2, 2, 3, 3, 4, 4]);
  t.false(devices[0]!.prepareSleep());
  t.deepEqual(received(devices)[0], 6);
  t.true(devices[0]!.prepareSleep());
});

test('what does not arrive is counted by its reason', (t) => {
  const [a, b, c] = createMemoryHub({ ports: 3, queueBytes: 256 * 1024 }).map((port) => openMemoryHub(port));
  b!.send(ping(v4(1), v4(0)));
  t.is(a!.receive(new Collector(), 9), 1);
  b!.close();
  t.true(a!.send(ping(v4(0), v4(1))));
  t.like(a!.counters, { txDroppedDown: 1, txDroppedQueue: 0, txPackets: 0 });
  // nobody knows where this is: one port of two is there, and does not read
  while (a!.counters.txDroppedQueue === 0) t.true(a!.send(ping(v4(0), v4(7))));
  t.is(a!.counters.txDroppedDown, 1);
  c!.close();
});

test('a port that is known and full holds its sender up, and takes the packet later', (t) => {
  const [a, b] = createMemoryHub({ ports: 2, queueBytes: 256 * 1024 }).map((port) => openMemoryHub(port));
  b!.send(ping(v4(1), v4(0)));
  t.is(a!.receive(new Collector(), 9), 1);
  while (a!.send(ping(v4(0), v4(1)))) {}
  const { txPackets } = a!.counters;
  t.like(a!.counters, { txFull: 1, txDroppedQueue: 0, txDroppedDown: 0 });
  t.is(received([b!])[0], txPackets);
  t.true(a!.send(ping(v4(0), v4(1))));
});

test('ports: how many, used once, closed', (t) => {
  for (const ports of [1, MAX_HUB_PORTS + 1, 2.5])
    t.throws(() => createMemoryHub({ ports }), { instanceOf: NetError, code: 'EINVAL' });
  t.throws(() => createMemoryHub({ ports: 2, mtuBytes: 1 }), { code: 'EINVAL' });
  const [a, b, c] = createMemoryHub({ ports: 3 });
  const device = openMemoryHub(a!);
  t.throws(() => openMemoryHub(a!), { instanceOf: NetError, code: 'ENODEV' });
  openMemoryHub(b!).close();
  const last = openMemoryHub(c!);
  t.true(device.send(ping(v4(0), v4(9))));
  t.is(last.receive(new Collector(), 9), 1);
});

test('stacks on a hub reach each other in virtual time', (t) => {
  const lab = new Lab();
  const hosts = createMemoryHub({ ports: 5 }).map((port, i) =>
    lab.add(openMemoryHub(port), [`${v4(i)}/24`, `${v6(i)}/64`], i + 1),
  );
  const pings = hosts.flatMap((host, i) =>
    [v4, v6].map((address) =>
      host.stack.icmp.ping({ destination: IpAddress.parse(address((i + 1) % 5))!, count: 3 }),
    ),
  );
  lab.run(10_000);
  for (const one of pings) t.like(one.summary, { received: 3, errors: 0 });
  t.is(lab.nextMs(), Infinity);
});

test('ports in several threads: a sleeping one is woken', async (t) => {
  const [own, other, third] = createMemoryHub({ ports: 3 });
  const fd = eventfd();
  const device = openMemoryHub(own!, { eventFd: fd });
  const idle = openMemoryHub(third!);
  const packets = 50;
  const worker = new Worker(new URL('./testing/hub-echo.ts', import.meta.url), {
    workerData: { port: other, packets },
  });
  await once(worker, 'message');
  const poll = new PollSet(1);
  poll.set(0, fd, POLLIN);
  const got = new Collector();
  for (let i = 0; i < packets; i++) {
    device.send(ping(v4(0), v4(1)));
    device.flush();
    while (got.count <= i) {
      if (device.receive(got, 64) > 0 || !device.prepareSleep()) continue;
      const woken = poll.wait(5000);
      device.awake();
      t.not(woken, 0);
      if (woken === 0) return;
      clearEvent(fd);
    }
  }
  t.is(got.count, packets);
  // the first one went to all, the rest did not
  t.is(idle.receive(new Collector(), 64), 1);
  await worker.terminate();
});
