// needs: tun
import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import { SeededRandom } from '../stack/random.ts';
import { Stack } from '../stack/stack.ts';
import { HeapRings } from '../stack/testing/heap-rings.ts';
import { addressOf } from '../stack/testing/packets.ts';
import { pushDatagramTo } from '../stack/udp/datagram-ring.ts';
import { createLab, KERNEL_V4, KERNEL_V6, OWN_ADDRESSES } from '../test/netns.ts';
import { openTun } from './tun.ts';

const PORT = 47_260;
const LENGTHS: readonly number[] = [...new Array<number>(30).fill(1000), 333];

/** The kernel's socket: tells the length and the first and last byte of each datagram. */
const SOCKET = `
import { createSocket } from 'node:dgram';
const socket = createSocket({ type: 'udp6' }).bind(${PORT}, '::', () => console.log('ready'));
socket.on('message', (data) => console.log([data.length, data[0], data.at(-1)].join(' ')));`;

for (const offload of [true, false]) {
  test(`datagrams that leave together come to the kernel's sockets one by one, offload ${offload}`, async (t) => {
    t.timeout(60_000);
    const lab = await createLab(t);
    const device = lab.within(() => openTun(lab.tun, { offload }));
    t.teardown(() => device.close());
    const stack = new Stack({ random: new SeededRandom(1), rings: new HeapRings(65_536, 65_536), now: 0 });
    const { name, capabilities } = device;
    stack.addInterface({ name, sink: device, capabilities, addresses: OWN_ADDRESSES, gateways: [] });
    const kernel = lab.start(process.execPath, ['--input-type=module', '-e', SOCKET]);
    await lab.until('the kernel listens', () => kernel.stdout.includes('ready'));
    const socket = stack.udp.open({
      local: null,
      localPort: 0,
      remote: null,
      remotePort: 0,
      broadcast: false,
    });
    stack.transmit(0);
    for (const to of [KERNEL_V4, KERNEL_V6]) {
      const { txPackets } = device.counters;
      const already = kernel.stdout.length;
      LENGTHS.forEach((length, at) => {
        const bytes = new Uint8Array(length).fill(at);
        t.true(pushDatagramTo(socket.sendRing!, addressOf(to), PORT, bytes, 0, length));
      });
      socket.appWrote();
      stack.transmit(0);
      await setImmediate();
      const together = capabilities.txDatagramSegments === true;
      t.is(device.counters.txPackets - txPackets, together ? 1 : LENGTHS.length);
      const expected = LENGTHS.map((length, at) => `${length} ${at} ${at}`);
      const heard = (): string[] => kernel.stdout.slice(already).trim().split('\n');
      await lab.until('all have come', () => heard().length >= expected.length);
      t.deepEqual(heard(), expected);
    }
  });
}
