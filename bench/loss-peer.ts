/** The kernel's ends of a transfer over a path with losses: `loss-peer.ts sink`, `loss-peer.ts source ADDRESS BYTES`. */
import { connect, createServer } from 'node:net';
import { LOSS_PORT } from './loss-path.ts';

const CHUNK_BYTES = 262_144;

const [role = '', address = '', bytes = '0'] = process.argv.slice(2);

if (role === 'sink') {
  createServer((socket) => socket.on('error', () => {}).resume()).listen(LOSS_PORT, '0.0.0.0');
} else {
  const socket = connect(LOSS_PORT, address);
  let left = Number(bytes);
  const fill = (): void => {
    while (left > 0) {
      const chunk = Buffer.alloc(Math.min(left, CHUNK_BYTES));
      left -= chunk.length;
      if (!socket.write(chunk)) return;
    }
    socket.end();
  };
  socket.on('drain', fill).on('connect', fill);
}
