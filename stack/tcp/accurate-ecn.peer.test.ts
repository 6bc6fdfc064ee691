// needs: tun python3
import test from 'ava';
import { createLab, KERNEL_V4, OWN_V4 } from '../../test/netns.ts';
import { KernelLink } from '../../test/peers/kernel-link.ts';
import type { HookedPacket } from '../packet-hook.ts';
import { addressOf } from '../testing/packets.ts';
import type { TcpConnection } from './connection.ts';

const BYTES = 200_000;
/** `tcp_ecn` of kernels that have RFC 9768, which older ones (6.18, for one) refuse: both ways. */
const ACCURATE = 3;

test('a kernel that has RFC 9768 and we tell each other of every mark; an older one gets classic ECN', async (t) => {
  const lab = await createLab(t);
  const command = `sysctl -qw net.ipv4.tcp_ecn=${ACCURATE} 2>&1; sysctl -n net.ipv4.tcp_ecn`;
  const told = (await lab.run('sh', ['-c', command])).stdout.trim();
  const hasIt = told === String(ACCURATE);
  const link = new KernelLink(t, lab, { offload: false });
  const { settings } = link.stack.tcp;
  settings.ecn = 'active';
  settings.accurateEcn = 'active';
  const server = lab.start('python3', [
    '-u',
    '-c',
    `import socket
s = socket.create_server(('${KERNEL_V4}', 7))
c, _ = s.accept()
left = ${BYTES}
while left: left -= len(c.recv(65536))
c.sendall(b'x' * ${BYTES})
c.recv(1)`,
  ]);
  await lab.listening(server, 7);
  const marked = { in: 0, out: 0 };
  let seen = 0;
  link.stack.packetHook = (packet) => {
    if (payloadBytes(packet) > 0 && seen++ % 7 === 0 && mark(packet)) marked[packet.direction]++;
    return true;
  };
  const none = { local: null, localPort: 0, noDelay: false, keepAlive: null };
  const c: TcpConnection = link.stack.tcp.connect({ remote: addressOf(KERNEL_V4), remotePort: 7, ...none });
  await link.until('a connection', () => c.isSynchronized);
  t.is(c.info().accurateEcn !== null, hasIt, `the kernel's tcp_ecn is ${told}, ${OWN_V4} asks for AccECN`);
  let left = BYTES;
  await link.until('all sent', () => {
    const length = Math.min(left, c.sendRing?.freeBytes ?? 0);
    c.sendRing?.write(new Uint8Array(length), 0, length);
    if (length > 0) c.appWrote();
    left -= length;
    return left === 0 && c.sndUna === c.sndNxt;
  });
  let read = 0;
  await link.until('all received', () => {
    const length = c.recvRing?.usedBytes ?? 0;
    c.recvRing?.advanceTail(length);
    if (length > 0) c.appRead();
    read += length;
    return read === BYTES;
  });
  t.true(marked.out > 0 && marked.in > 0, 'ECN is in use either way');
  if (!hasIt) {
    t.true(c.info().ecn);
    t.true(link.stack.tcp.counters.ecnReductions > 0);
    return;
  }
  const { accurateEcn, ceSegmentsIn } = c.info();
  t.is(accurateEcn!.ceSegmentsOut, marked.out);
  t.is(ceSegmentsIn, marked.in);
  t.true(accurateEcn!.peerSendsOption);
  t.is(accurateEcn!.out.ce + accurateEcn!.out.ect0, BYTES);
  const counted = await lab.run('python3', [
    '-c',
    `lines = [l.split() for l in open('/proc/net/netstat')]
print(dict(zip(lines[0], lines[1])).get('TCPDeliveredCE'))`,
  ]);
  t.is(Number(counted.stdout), marked.in, 'as the kernel has counted what we have told');
});

function payloadBytes({ bytes, ipOff }: HookedPacket): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return view.getUint16(ipOff + 2) - 20 - (bytes[ipOff + 32]! >> 4) * 4;
}

/** Sets CE; the header's checksum stays right. @returns false when the packet is not ECN-capable */
function mark({ bytes, ipOff }: HookedPacket): boolean {
  if ((bytes[ipOff + 1]! & 3) !== 2) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  bytes[ipOff + 1] = bytes[ipOff + 1]! | 3;
  const sum = view.getUint16(ipOff + 10) - 1;
  view.setUint16(ipOff + 10, sum < 0 ? 0xfffe : sum);
  return true;
}
