/**
 * A thread of the chaos: uses connections at full speed until they fail. Posts {@link ThreadReport}s: `moving` when everything it does has
 * been done once, then how each of its tasks ended, and how long its longest call took.
 */
import { parentPort, workerData } from 'node:worker_threads';
import {
  INET_ERROR,
  INET_PROTOCOL_TCP,
  INVALID_SOCKET,
  InetAbort,
  InetConnect,
  InetGetLastFailure,
  InetInitialize,
  InetRead,
  InetUninitialize,
  InetWrite,
} from '../inet/index.ts';
import { NetStack } from '../net/index.ts';
import { type Does, useNet } from './chaos-net.ts';

export interface ThreadTask {
  readonly face: 'inet' | 'net';
  /** A thread of the blocking face does one thing. */
  readonly does: Does;
  readonly host: string;
  readonly sinkPort: number;
  readonly sourcePort: number;
  /** Of each call. */
  readonly timeoutS: number;
}

export type ThreadReport =
  | { readonly is: 'moving' }
  /** @property code of the closed set, or `END`, or what else came */
  | { readonly is: 'ended'; readonly does: Does; readonly code: string; readonly longestMs: number };

const task = workerData as ThreadTask;
const buffer = new Uint8Array(65_536);
let longestMs = 0;
let hasMoved = false;

function tell(report: ThreadReport): void {
  parentPort?.postMessage(report);
}

function moved(): void {
  if (!hasMoved) tell({ is: 'moving' });
  hasMoved = true;
}

function timed(call: () => number): number {
  const since = performance.now();
  const result = call();
  longestMs = Math.max(longestMs, performance.now() - since);
  return result;
}

function lastCode(): string {
  return InetGetLastFailure()?.tunwireCode ?? 'an error without a reason';
}

function open(port: number): number {
  return timed(() => InetConnect(task.host, port, INET_PROTOCOL_TCP, task.timeoutS));
}

/** @returns why it could not go on */
function connectAll(): string {
  for (;;) {
    const handle = open(task.sinkPort);
    if (handle === INVALID_SOCKET) return lastCode();
    moved();
    InetAbort(handle);
  }
}

/** @returns why it could not go on */
function transfer(call: (handle: number) => number, port: number): string {
  const handle = open(port);
  if (handle === INVALID_SOCKET) return lastCode();
  for (;;) {
    const count = timed(() => call(handle));
    if (count > 0) {
      moved();
      continue;
    }
    const code = count === INET_ERROR ? lastCode() : 'END';
    InetAbort(handle);
    return code;
  }
}

function useInet(): void {
  if (!InetInitialize()) throw new Error(`InetInitialize: ${lastCode()}`);
  let code: string;
  if (task.does === 'connect') code = connectAll();
  else if (task.does === 'read') code = transfer((handle) => InetRead(handle, buffer), task.sourcePort);
  else code = transfer((handle) => InetWrite(handle, buffer), task.sinkPort);
  InetUninitialize();
  tell({ is: 'ended', does: task.does, code, longestMs });
}

if (task.face === 'inet') useInet();
else {
  const use = useNet(NetStack.attach(), task);
  use.moving.then(moved);
  for (const [does, ended] of use.tasks)
    void ended.then((code) => tell({ is: 'ended', does, code, longestMs: 0 }));
}
