// needs: tun python3
// sends broken frames: packets of protocol 89 that are no OSPF
import test from 'ava';
import { createLab, KERNEL_V4, KERNEL_V6, OWN_ADDRESSES, OWN_V4, OWN_V6 } from '../test/netns.ts';
import { createStack } from './index.ts';

/** Sends back what comes to its raw socket, reversed, until its input ends. */
const ECHO = `
import socket, sys, threading
family, protocol = int(sys.argv[1]), int(sys.argv[2])
s = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW, protocol)
print("open", flush=True)
def serve():
    while True:
        data, who = s.recvfrom(65535)
        if family == 4: data = data[(data[0] & 15) * 4:]
        s.sendto(data[::-1], who[:2])
threading.Thread(target=serve, daemon=True).start()
sys.stdin.read()
`;

for (const [family, kernel, own] of [
  [4, KERNEL_V4, OWN_V4],
  [6, KERNEL_V6, OWN_V6],
] as const) {
  for (const protocol of [89, 253]) {
    test(`protocol ${protocol} over IPv${family} to the kernel's raw socket and back`, async (t) => {
      const lab = await createLab(t);
      const echo = lab.start('python3', ['-c', ECHO, String(family), String(protocol)]);
      await lab.until('the socket is open', () => echo.stdout === 'open\n');
      const stack = await lab.within(() =>
        createStack({ device: `tun:${lab.tun}`, addresses: OWN_ADDRESSES }),
      );
      t.teardown(() => stack.close());
      await using socket = await stack.rawSocket({ protocol });
      // one packet, and fragments
      for (const length of [1, 500, 4000]) {
        const data = Buffer.from(Array.from({ length }, (_, i) => i & 255));
        await socket.send(data, kernel);
        const answer = await socket.receive();
        t.is(answer?.address, kernel);
        t.true(answer?.data.equals(Buffer.from(data).reverse()), `${length} bytes`);
      }
      await using whole = await stack.rawSocket({ protocol, wholePackets: true, host: own });
      const header = family === 4 ? headerV4(protocol) : headerV6(protocol, 3);
      await whole.send(Buffer.concat([header, Buffer.from('abc')]));
      t.is(String((await socket.receive())?.data), 'cba', 'both get a copy');
      const packet = (await whole.receive())!.data;
      t.is(packet[0]! >> 4, family);
      t.is(String(packet.subarray(-3)), 'cba');
    });
  }
}

function bytesOf(address: string): number[] {
  if (!address.includes(':')) return address.split('.').map(Number);
  // fd77::N
  return [0xfd, 0x77, ...Array<number>(13).fill(0), Number(address.slice(6))];
}

function headerV4(protocol: number): Buffer {
  return Buffer.from([0x45, 0, 0, 0, 0, 9, 0, 0, 32, protocol, 0, 0, 0, 0, 0, 0, ...bytesOf(KERNEL_V4)]);
}

function headerV6(protocol: number, length: number): Buffer {
  return Buffer.from([0x60, 0, 0, 0, 0, length, protocol, 32, ...bytesOf(OWN_V6), ...bytesOf(KERNEL_V6)]);
}

test('options that cannot be are refused; the end ends iterations', async (t) => {
  const lab = await createLab(t);
  const stack = await lab.within(() => createStack({ device: `tun:${lab.tun}`, addresses: OWN_ADDRESSES }));
  t.teardown(() => stack.close());
  await t.throwsAsync(stack.rawSocket({ protocol: 300 }), { message: /protocol is 0 … 255, got 300/ });
  await t.throwsAsync(stack.rawSocket({ protocol: 1, host: '203.0.113.1' }), { message: /not an address/ });
  const socket = await stack.rawSocket({ protocol: 253 });
  const ended = socket.receive();
  socket.close();
  t.is(await ended, undefined);
  await t.throwsAsync(socket.send('x', KERNEL_V4), { message: /closed/ });
});
