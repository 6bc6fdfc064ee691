// needs: tun socat
import test from 'ava';
import { openTap } from '../drivers/tun.ts';
import { createLab, type Lab } from '../test/netns.ts';
import { startNodeServer } from '../test/peers/servers.ts';
import { createStack, type NetStack } from './index.ts';
import { pattern, readAll } from './testing/consume.ts';

const TAP = 'tap0';
const KERNEL = '10.79.0.1';
const KERNEL_V6 = 'fd79::1';
const OWN = ['10.79.0.2/24', 'fd79::2/64'];
const PORT = 47_200;
const BYTES = 3_000_000;

async function createTapLab(t: { teardown(clean: () => Promise<void> | void): void }): Promise<Lab> {
  const lab = await createLab(t);
  await lab.ok('sh', [
    '-c',
    `set -e
     ip tuntap add dev ${TAP} mode tap
     ip addr add ${KERNEL}/24 dev ${TAP}
     ip addr add ${KERNEL_V6}/64 dev ${TAP} nodad
     ip link set ${TAP} up`,
  ]);
  return lab;
}

test('a TAP interface is an Ethernet link with offload, and its kernel another station', async (t) => {
  const lab = await createTapLab(t);
  const device = lab.within(() => openTap(TAP));
  t.teardown(() => device.close());
  t.is(device.name, 'tap:tap0');
  // not of every kernel
  const { ethernet, txDatagramSegments: _, ...rest } = device.capabilities;
  t.deepEqual(rest, { mtuBytes: 1500, txChecksum: true, txSegmentBytes: 65_521 });
  const own = Buffer.from(ethernet!.address)
    .toString('hex')
    .replace(/..(?!$)/g, '$&:');
  const listed = /link\/ether (\S+)/.exec(await lab.ok('ip', ['link', 'show', TAP]))![1]!;
  t.not(own, listed);
  t.is(own.slice(3, 15), listed.slice(3, 15));
  t.throws(() => lab.within(() => openTap(lab.tun)), { message: /no single-queue TAP interface/ });
});

for (const offload of [true, false]) {
  test(`streams and datagrams go to the kernel and back over TAP, offload ${offload}`, async (t) => {
    const lab = await createTapLab(t);
    const stack: NetStack = await lab.within(() =>
      createStack({ device: `tap:${TAP}`, addresses: OWN, offload, resolver: { hostsFile: null } }),
    );
    t.teardown(() => stack.close());
    await startNodeServer(lab, PORT, 'echo');
    const data = pattern(BYTES);
    for (const host of [KERNEL, KERNEL_V6]) {
      const socket = await stack.connect({ host, port: PORT });
      socket.end(data);
      t.true((await readAll(socket)).equals(data), host);
    }
    const server = lab.start('socat', ['UDP4-LISTEN:9,fork', 'PIPE']);
    await lab.listening(server, 9, 'udp');
    const udp = await stack.udp();
    const answers = udp[Symbol.asyncIterator]();
    await udp.send(pattern(4000), 9, KERNEL);
    const { value } = await answers.next();
    t.true(value?.data.equals(pattern(4000)), 'in fragments');
    await udp.close();
    const { txDroppedDown, txDroppedQueue, txDroppedError, rxDroppedShort } = stack.counters;
    t.is(txDroppedDown + txDroppedQueue + txDroppedError + rxDroppedShort, 0);
    const { rxPackets } = stack.counters;
    if (offload) t.true(rxPackets < (2 * BYTES) / 1448 / 2, `super-segments: ${rxPackets} packets`);
  });
}
