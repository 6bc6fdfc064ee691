/** One of many threads that open connections, use them, and pass them on; see stress.test.ts. */
import { parentPort } from 'node:worker_threads';
import {
  INET_ERROR,
  INET_PROTOCOL_TCP,
  INVALID_SOCKET,
  InetAttachThread,
  InetConnect,
  InetDisconnect,
  InetGetCurrentThread,
  InetGetErrorString,
  InetGetLastError,
  InetGetStatus,
  InetInitialize,
  InetRead,
  InetUninitialize,
  InetWrite,
} from '../index.ts';
import { PeerPort } from './peer.ts';

/** What a thread is told: open so many connections; use and pass on, or end, these; or let go of the engine. */
export type StressTask =
  | { readonly do: 'open'; readonly count: number; readonly from: number }
  | { readonly do: 'use'; readonly handles: readonly StressHandle[]; readonly last: boolean }
  | { readonly do: 'uninitialize' };

export interface StressHandle {
  readonly handle: number;
  /** What is different about every connection: its data says so. */
  readonly number: number;
}

export interface StressAnswer {
  readonly thread: number;
  readonly handles: readonly StressHandle[];
  readonly problems: readonly string[];
}

const TIMEOUT_S = 10;
const buffer = new Uint8Array(1024);
let problems: string[] = [];

InetInitialize();

parentPort?.on('message', (task: StressTask) => {
  problems = [];
  let handles: readonly StressHandle[] = [];
  if (task.do === 'open') handles = openMany(task.count, task.from);
  else if (task.do === 'use') handles = task.handles.filter((one) => use(one, task.last));
  else InetUninitialize();
  const answer: StressAnswer = { thread: InetGetCurrentThread(), handles, problems };
  parentPort?.postMessage(answer);
});

function openMany(count: number, from: number): StressHandle[] {
  const opened: StressHandle[] = [];
  for (let number = from; number < from + count; number++) {
    const handle = InetConnect('192.0.2.1', PeerPort.Echo, INET_PROTOCOL_TCP, TIMEOUT_S);
    if (handle === INVALID_SOCKET) problem('connect');
    else opened.push({ handle, number });
  }
  return opened;
}

/** @returns whether it can be used further */
function use({ handle, number }: StressHandle, last: boolean): boolean {
  if (InetGetStatus(handle) === INET_ERROR) return problem('status');
  if (InetWrite(handle, buffer, 1) !== INET_ERROR) return problem('used what another thread owns');
  if (InetAttachThread(handle) === INET_ERROR) return problem('attach');
  const message = `connection ${number} in thread ${InetGetCurrentThread()}`;
  if (InetWrite(handle, Buffer.from(message)) !== message.length) return problem('write');
  let text = '';
  while (text.length < message.length) {
    const taken = InetRead(handle, buffer);
    if (taken <= 0) return problem('read');
    text += Buffer.from(buffer.subarray(0, taken)).toString();
  }
  if (text !== message) problems.push(`expected "${message}", got "${text}"`);
  if (!last) return true;
  if (InetDisconnect(handle) === INET_ERROR) problem('disconnect');
  return false;
}

function problem(what: string): false {
  problems.push(`${what}: ${InetGetErrorString(InetGetLastError())}`);
  return false;
}
