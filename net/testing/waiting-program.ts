/** The worker of shared-stack.test.ts: waits in all ways for a stack that ends meanwhile, and tells how each has ended. */
import { type EventEmitter, once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import { Arena } from '../../engine/arena.ts';
import { type NetError, NetStack } from '../index.ts';
import { NOBODY_V4, SERVER_V4 } from './pair.ts';

const { memory, port } = workerData as { memory: SharedArrayBuffer; port: number };
const stack = NetStack.attach(new Arena(memory));
const codeOf = (error: unknown): string => (error as NetError).tunwireCode;
const errorOf = async (socket: EventEmitter): Promise<string> => codeOf((await once(socket, 'error'))[0]);
const ways: Record<string, Promise<unknown>> = {
  reading: errorOf((await stack.connect({ host: SERVER_V4, port })).resume()),
  connecting: stack.connect({ host: NOBODY_V4, port }).catch(codeOf),
  listening: errorOf(await stack.listen({ port: 0 })),
  'next datagram': (await stack.udp())[Symbol.asyncIterator]().next().catch(codeOf),
  'UDP errors': errorOf(await stack.udp()),
  'next packet': (await stack.rawSocket({ protocol: 253 })).receive().catch(codeOf),
  'raw errors': errorOf(await stack.rawSocket({ protocol: 253 })),
  resolving: stack.resolve('device.test').catch(codeOf),
  pinging: stack.ping(NOBODY_V4)[Symbol.asyncIterator]().next().catch(codeOf),
};
parentPort?.postMessage('waiting');
const outcomes: [string, unknown][] = [];
for (const [way, outcome] of Object.entries(ways)) outcomes.push([way, await outcome]);
parentPort?.postMessage(outcomes);
