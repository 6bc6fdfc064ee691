import { connect, type Socket } from 'node:net';
import type { TlsSession } from '../../tls/client.ts';
import { ShimConnection } from './connection.ts';
import { ShimFailure } from './failure.ts';
import type { ShimCommand, ShimConfig } from './flags.ts';

/** After this the runner has given up long since. */
const TIMEOUT_MS = 60_000;

/** Makes the connections of a test, one after the other, each with the session of the one before it. */
export async function runConnections(command: ShimCommand): Promise<void> {
  setTimeout(() => process.exit(1), TIMEOUT_MS).unref();
  let session: TlsSession | null = null;
  let unixTimeMs = Date.now();
  const count = 1 + command.initial.number('resume-count');
  for (let i = 0; i < count; i++) {
    const isResume = i > 0;
    const config = isResume ? command.resume : command.initial;
    if (isResume && session === null) throw new ShimFailure('no session to offer');
    const socket = await open(config);
    try {
      const connection = new ShimConnection(
        socket,
        config,
        command.retry,
        isResume ? session : null,
        unixTimeMs,
      );
      session = await connection.run();
    } finally {
      await drain(socket);
    }
    unixTimeMs += 1000 * config.number('resumption-delay');
  }
}

async function open(config: ShimConfig): Promise<Socket> {
  const host = config.has('ipv6') ? '::1' : '127.0.0.1';
  const socket = connect({ host, port: config.number('port'), noDelay: true, allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const id = Buffer.alloc(8);
  id.writeBigUInt64LE(BigInt(config.text('shim-id')));
  socket.write(id);
  return socket;
}

/** Closes our side and waits for the other: a reset could overtake the alert that the runner wants to see. */
async function drain(socket: Socket): Promise<void> {
  if (socket.destroyed) return;
  socket.removeAllListeners('data');
  socket.on('error', () => {});
  socket.resume();
  socket.end();
  if (!socket.readableEnded && !socket.errored) {
    await new Promise<void>((resolve) => {
      socket.once('end', resolve);
      socket.once('close', resolve);
    });
  }
  socket.destroy();
}
