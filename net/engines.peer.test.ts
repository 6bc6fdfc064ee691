// needs: tun
import { once } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import { NetError } from '../stack/errors.ts';
import { FlowShare } from '../stack/flow-share.ts';
import { createLab, KERNEL_V4, type Lab, type LabProcess, OWN_ADDRESSES, OWN_V4 } from '../test/netns.ts';
import { createStack, NetStack, type StackOptions } from './stack.ts';

const ENGINES = 2;
const DEVICE = 'many0';
const ECHO_PORT = 47_400;
const OWN_PORT = 47_401;
const FLOWS = 24;

/** An echo server of the kernel on TCP and UDP, and a client that asks a server of ours so many times. */
const KERNEL = `
import { createServer, connect } from 'node:net';
import { createSocket } from 'node:dgram';
createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(${ECHO_PORT}, '0.0.0.0');
const udp = createSocket('udp4').bind(${ECHO_PORT});
udp.on('message', (data, from) => udp.send(data, from.port, from.address));
process.stdin.once('data', () => {
  let right = 0;
  for (let i = 0; i < ${FLOWS}; i++) {
    const socket = connect(${OWN_PORT}, '${OWN_V4}', () => socket.write('x'.repeat(50_000)));
    let got = 0;
    socket.on('data', (data) => {
      got += data.length;
      if (got === 50_000) socket.end();
    });
    socket.on('error', (error) => console.log(error.message));
    socket.on('close', () => {
      if (got === 50_000 && ++right === ${FLOWS}) console.log('all right');
    });
  }
});`;

async function start(
  t: ExecutionContext,
  options: Partial<StackOptions> = {},
): Promise<{ lab: Lab; stack: NetStack }> {
  const lab = await createLab(t);
  // the address is the same as on the lab's own device, which is not used here
  await lab.ok('ip', ['link', 'del', 'tun0']);
  await lab.ok('ip', ['tuntap', 'add', 'dev', DEVICE, 'mode', 'tun', 'multi_queue']);
  await lab.ok('ip', ['addr', 'add', `${KERNEL_V4}/24`, 'dev', DEVICE]);
  await lab.ok('ip', ['link', 'set', DEVICE, 'addrgenmode', 'none', 'up']);
  const stack = await lab.within(() =>
    createStack({
      device: `tun:${DEVICE}`,
      addresses: OWN_ADDRESSES,
      resolver: { hostsFile: null },
      engines: ENGINES,
      ...options,
    }),
  );
  t.teardown(() => stack.close());
  return { lab, stack };
}

async function startKernel(lab: Lab): Promise<LabProcess> {
  const kernel = lab.start(process.execPath, ['--input-type=module', '--eval', KERNEL]);
  await lab.listening(kernel, ECHO_PORT);
  return kernel;
}

async function echoes(stack: NetStack, localPort = 0): Promise<boolean> {
  const socket = await stack.connect({ host: KERNEL_V4, port: ECHO_PORT, localPort });
  socket.end('abc'.repeat(30_000));
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text === 'abc'.repeat(30_000);
}

for (const offload of [true, false]) {
  test.serial(`connections of two engines on one device, offload ${offload}`, async (t) => {
    const { lab, stack } = await start(t, { offload });
    await startKernel(lab);
    const results = await Promise.all(Array.from({ length: FLOWS }, () => echoes(stack)));
    t.deepEqual(results, new Array(FLOWS).fill(true));
    // each has half of the flows, and a flow is more than two packets, whatever goes out together; an engine tells at its next sleep
    const sent = (): number[] => stack.engineCounters.map(({ txPackets }) => txPackets);
    await lab.until('both have sent', () => Math.min(...sent()) > FLOWS, 30_000);
    await lab.until('the sum is that of both', () => stack.counters.txPackets === sent()[0]! + sent()[1]!);
  });
}

test.serial('a port of the caller is the port of the engine that owns it', async (t) => {
  const { lab, stack } = await start(t);
  await startKernel(lab);
  const share = new FlowShare(0, ENGINES);
  const ports = [0, 1].map((engine) => {
    for (let port = 40_000; ; port++) if (share.tcpOwner(port, ECHO_PORT) === engine) return port;
  });
  for (const port of ports) t.true(await echoes(stack, port));
});

test.serial('every engine listens, and all connections come in one place', async (t) => {
  const { lab, stack } = await start(t);
  const kernel = await startKernel(lab);
  await using server = await stack.listen({ port: OWN_PORT, allowHalfOpen: true });
  t.is(server.address()?.port, OWN_PORT);
  server.on('connection', (socket) => socket.pipe(socket));
  kernel.child.stdin.write('go\n');
  await lab.until('all connections have ended', () => kernel.stdout.includes('all right'));
  for (const { rxBytes } of stack.engineCounters) t.true(rxBytes > 50_000);
});

test.serial('an ephemeral port to listen on is the same on every engine', async (t) => {
  const { lab, stack } = await start(t);
  await using server = await stack.listen({ port: 0 });
  const port = server.address()!.port;
  let accepted = 0;
  server.on('connection', (socket) => {
    accepted++;
    socket.end();
  });
  const connect = `for (let i = 0; i < ${FLOWS}; i++) require('net').connect(${port}, '${OWN_V4}').on('error', () => {}).resume()`;
  await lab.ok(process.execPath, ['--eval', connect]);
  await lab.until('all are accepted', () => accepted === FLOWS);
  const error = await t.throwsAsync(stack.listen({ port }), { instanceOf: NetError });
  t.is((error as NetError).tunwireCode, 'ADDRESS_IN_USE');
});

test.serial('datagrams find their engine, and a connection that nobody takes is refused', async (t) => {
  const { lab, stack } = await start(t);
  await startKernel(lab);
  for (const port of [0, 50_000, 50_001, 5000]) {
    const udp = await stack.udp({ port });
    const got = once(udp, 'message');
    await udp.send(Buffer.from('hello'), ECHO_PORT, KERNEL_V4);
    t.is(String((await got)[0]), 'hello');
    udp.close();
  }
  for (let i = 0; i < 4; i++) {
    const refused = await t.throwsAsync(stack.connect({ host: KERNEL_V4, port: 9 }), {
      instanceOf: NetError,
    });
    t.is((refused as NetError).tunwireCode, 'CONNECT_REFUSED');
  }
  await lab.ok('ping', ['-c', '3', '-i', '0.2', OWN_V4]);
});

test.serial('a stack attached to all engines listens on all', async (t) => {
  const { lab, stack } = await start(t);
  const kernel = await startKernel(lab);
  const other = NetStack.attach(stack.arenas);
  await using server = await other.listen({ port: OWN_PORT, allowHalfOpen: true });
  server.on('connection', (socket) => socket.pipe(socket));
  kernel.child.stdin.write('go\n');
  await lab.until('all connections have ended', () => kernel.stdout.includes('all right'));
  t.is(other.engineCounters.length, ENGINES);
});

test.serial('what several engines cannot do is refused', async (t) => {
  const options = { device: 'tun:none', addresses: OWN_ADDRESSES };
  await t.throwsAsync(createStack({ ...options, engines: 0 }), { instanceOf: RangeError });
  await t.throwsAsync(createStack({ ...options, engines: 2, device: 'raw:eth0' }), {
    message: /several queues/,
  });
  await t.throwsAsync(createStack({ ...options, engines: 2, capture: { file: '/dev/null' } }), {
    message: /capture takes a single engine/,
  });
  await t.throwsAsync(createStack({ ...options, engines: 2, tellPackets: true }), {
    message: /tellPackets takes a single engine/,
  });
  // what is off is no reason, but a name that none can have
  const nameless = { ...options, engines: 2, device: 'tun:of-too-many-characters' };
  await t.throwsAsync(createStack({ ...nameless, tellPackets: false }), { message: /15 characters/ });
});
