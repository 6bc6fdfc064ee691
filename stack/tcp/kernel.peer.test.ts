// needs: tun python3
import test from 'ava';
import { createLab, KERNEL_V4, type Lab, type LabProcess, OWN_V4 } from '../../test/netns.ts';
import { KernelLink } from '../../test/peers/kernel-link.ts';
import { addressOf } from '../testing/packets.ts';
import type { TcpConnection } from './connection.ts';
import { TcpState } from './tcp-state.ts';
import { bytesToMark, takeOutOfBand, urgentBytes } from './urgent.ts';

function python(lab: Lab, program: string): LabProcess {
  return lab.start('python3', ['-u', '-c', `import os, socket, sys, time\n${program}`]);
}

function connect(link: KernelLink, port: number, fastOpen = false): TcpConnection {
  const remote = addressOf(KERNEL_V4);
  const none = { local: null, localPort: 0, noDelay: false, keepAlive: null };
  return link.stack.tcp.connect({ remote, remotePort: port, ...none, fastOpen });
}

function write(c: TcpConnection, text: string, urgent = false): void {
  const bytes = new TextEncoder().encode(text);
  c.sendRing?.write(bytes, 0, bytes.length);
  if (urgent) c.appWroteUrgent();
  else c.appWrote();
}

function read(c: TcpConnection, limit = 1 << 16): string {
  const bytes = new Uint8Array(Math.min(c.recvRing?.usedBytes ?? 0, limit));
  c.recvRing?.read(bytes, 0, bytes.length);
  c.appRead();
  return new TextDecoder().decode(bytes);
}

const LISTEN = `s = socket.create_server(('${KERNEL_V4}', 7))
c, _ = s.accept()
`;

test('urgent data that we send: the kernel signals it, and its mark is where ours is', async (t) => {
  const lab = await createLab(t);
  const server = python(
    lab,
    `${LISTEN}import select
select.select([], [], [c])
time.sleep(0.2)
print(c.recv(1, socket.MSG_OOB), c.recv(100), c.recv(100))`,
  );
  await lab.listening(server, 7);
  const link = new KernelLink(t, lab);
  const connection = connect(link, 7);
  write(connection, 'plain');
  write(connection, 'urgent!', true);
  write(connection, 'after');
  await link.until('the server has read', () => server.ended);
  t.is(server.stdout.trim(), "b'!' b'plainurgent' b'after'", server.stderr);
});

test('urgent data that the kernel sends: we are told, and its mark is where the kernel has it', async (t) => {
  const lab = await createLab(t);
  const link = new KernelLink(t, lab);
  const listener = link.stack.tcp.listen({ local: null, port: 7, backlog: 1 });
  const client = python(
    lab,
    `c = socket.create_connection(('${OWN_V4}', 7))
c.send(b'plain'); c.send(b'urgent!', socket.MSG_OOB); c.send(b'after')
sys.stdin.read()`,
  );
  let accepted: TcpConnection | null = null;
  await link.until('a connection', () => {
    accepted ??= listener.accept();
    return (accepted?.recvRing?.usedBytes ?? 0) === 17;
  });
  const connection = accepted as unknown as TcpConnection;
  t.is(urgentBytes(connection), 12);
  t.is(bytesToMark(connection), 11);
  t.is(takeOutOfBand(connection), '!'.charCodeAt(0));
  t.is(read(connection, 12), 'plainurgent!');
  t.is(urgentBytes(connection), 0);
  t.is(read(connection), 'after');
  client.child.stdin.end();
  await link.until('the end', () => connection.state === TcpState.CloseWait);
});

const ENABLE_FAST_OPEN = 'echo 3 > /proc/sys/net/ipv4/tcp_fastopen';

test("Fast Open to the kernel's server: a cookie first, then data in the SYN", async (t) => {
  const lab = await createLab(t);
  await lab.ok('sh', ['-c', ENABLE_FAST_OPEN]);
  const server = python(
    lab,
    `s = socket.create_server(('${KERNEL_V4}', 7))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
for _ in range(2):
  c, _ = s.accept()
  c.send(c.recv(100).upper()); c.close()`,
  );
  await lab.listening(server, 7);
  const link = new KernelLink(t, lab);
  for (const round of [0, 1]) {
    const connection = connect(link, 7, true);
    t.is(connection.fastOpen?.held, round === 1);
    write(connection, 'hello');
    await link.until('an answer', () => connection.recvRing?.usedBytes === 5);
    t.is(read(connection), 'HELLO');
    t.is(connection.fastOpen?.succeeded, round === 1);
    connection.close();
  }
  t.is(link.stack.tcp.counters.fastOpenActive, 1);
  await link.until('the server ends', () => server.ended);
  t.regex(await lab.ok('cat', ['/proc/net/netstat']), /TCPFastOpenPassive/);
});

test("Fast Open from the kernel's client: our cookie, then data in the SYN, answered before its ACK", async (t) => {
  const lab = await createLab(t);
  await lab.ok('sh', ['-c', ENABLE_FAST_OPEN]);
  const link = new KernelLink(t, lab);
  const listener = link.stack.tcp.listen({ local: null, port: 7, backlog: 4, fastOpenQueue: 4 });
  const client = python(
    lab,
    `for _ in range(2):
  c = socket.socket()
  c.sendto(b'hello', socket.MSG_FASTOPEN, ('${OWN_V4}', 7))
  print(c.recv(100).decode()); c.close()`,
  );
  let accepted: TcpConnection | null = null;
  let served = 0;
  await link.until('two connections', () => {
    accepted ??= listener.accept();
    if (accepted !== null && accepted.recvRing?.usedBytes === 5) {
      write(accepted, read(accepted).toUpperCase());
      accepted.close();
      accepted = null;
      served++;
    }
    return served === 2 && client.ended;
  });
  t.is(client.stdout, 'HELLO\nHELLO\n', client.stderr);
  t.is(link.stack.tcp.counters.fastOpenRequestsIn, 1);
  t.is(link.stack.tcp.counters.fastOpenPassive, 1);
});
