/** Run by process.test.ts: leaves things open in the way the argument says, and should end by itself or not. */
import { once } from 'node:events';
import { SERVER_V4, stackPair } from './pair.ts';

const { client, server } = await stackPair();
const listener = await server.listen({ port: 7 });
listener.on('connection', (peer) => peer.unref().resume());
const udp = await server.udp();
const socket = await client.connect({ host: SERVER_V4, port: 7 });
switch (process.argv[2]) {
  case 'referenced':
    listener.unref();
    udp.unref();
    socket.unref().ref();
    break;
  case 'unreferenced':
    listener.unref().unref();
    udp.unref();
    socket.unref();
    break;
  case 'paused':
    // as with Node's handles, who does not read does not wait
    listener.unref();
    udp.unref();
    socket.destroy();
    await once(client.socket().pause().connect(7, SERVER_V4), 'connect');
    break;
  case 'looking-up':
    listener.unref();
    udp.unref();
    socket.destroy();
    // nobody will ever call back
    client.createConnection({ host: 'device.test', port: 7, lookup: () => {} }).end('written');
    break;
  case 'closed':
    listener.close();
    udp.close();
    socket.destroy();
    await once(socket, 'close');
    break;
  case 'exit':
    process.exitCode = 0;
    process.exit();
    break;
  default:
    throw new Error(`no such way: ${process.argv[2]}`);
}
console.log('left open');
