/** A worker that uses the InetConnect family as it is told, one task at a time, blocking. */
import { parentPort } from 'node:worker_threads';
import {
  INET_PROTOCOL_TCP,
  INET_STATUS_WRITE,
  InetAccept,
  InetAttachThread,
  InetCancel,
  InetConnect,
  InetDisconnect,
  InetGetLastError,
  InetGetStatus,
  InetInitialize,
  InetRead,
  InetSetLastError,
  InetUninitialize,
  InetWrite,
} from '../index.ts';

export type UserTask =
  | {
      readonly do: 'connect';
      readonly host: string;
      readonly port: number;
      readonly seconds: number;
      readonly options: number;
    }
  | { readonly do: 'read'; readonly handle: number }
  | { readonly do: 'write'; readonly handle: number; readonly text: string }
  | { readonly do: 'attach'; readonly handle: number; readonly thread: number }
  /** Cancels once a thread is blocked writing. */
  | { readonly do: 'cancel when writing'; readonly handle: number }
  | { readonly do: 'accept'; readonly handle: number }
  | { readonly do: 'disconnect'; readonly handle: number }
  | { readonly do: 'uninitialize' }
  /** Ends the thread; there is no answer. */
  | { readonly do: 'end' };

export interface UserAnswer {
  readonly result: number;
  /** The thread's last error; 0: none. */
  readonly error: number;
  /** What was read. */
  readonly text: string;
}

InetInitialize();
const buffer = new Uint8Array(1024);

parentPort?.on('message', (task: UserTask) => {
  if (task.do === 'end') {
    parentPort?.close();
    return;
  }
  InetSetLastError(0);
  const result = obey(task);
  const text = task.do === 'read' && result > 0 ? Buffer.from(buffer.subarray(0, result)).toString() : '';
  parentPort?.postMessage({ result, error: InetGetLastError(), text } satisfies UserAnswer);
});

function obey(task: Exclude<UserTask, { do: 'end' }>): number {
  switch (task.do) {
    case 'connect':
      return InetConnect(task.host, task.port, INET_PROTOCOL_TCP, task.seconds, task.options);
    case 'read':
      return InetRead(task.handle, buffer);
    case 'write':
      return InetWrite(task.handle, Buffer.from(task.text));
    case 'attach':
      return InetAttachThread(task.handle, task.thread);
    case 'disconnect':
      return InetDisconnect(task.handle);
    case 'accept':
      return InetAccept(task.handle);
    case 'cancel when writing':
      while (InetGetStatus(task.handle) !== INET_STATUS_WRITE);
      return InetCancel(task.handle);
    default:
      InetUninitialize();
      return 0;
  }
}
