/** The worker of shared-stack.test.ts: knows nothing of a stack, and connects. */
import { parentPort, workerData } from 'node:worker_threads';
import { connect } from '../index.ts';
import { readAll } from './consume.ts';
import { SERVER_V4 } from './pair.ts';

const socket = await connect({ host: SERVER_V4, port: workerData });
socket.end('from a worker');
parentPort?.postMessage((await readAll(socket)).toString());
