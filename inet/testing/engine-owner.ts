/** Starts an engine, joins it from a second thread, and stops it under that thread's connection. */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import type { MemoryLinkEnd } from '../../drivers/memory.ts';
import {
  INET_PROTOCOL_TCP,
  InetConnect,
  InetGetLastError,
  InetInitialize,
  InetRead,
  InetUninitialize,
} from '../index.ts';
import { PeerPort } from './peer.ts';

interface Reader {
  readonly reads: true;
}

const data = workerData as MemoryLinkEnd | Reader;

if (isMainThread || !('reads' in data)) {
  InetInitialize({
    device: data as MemoryLinkEnd,
    addresses: ['192.0.2.2/24'],
    resolver: { hostsFile: null },
  });
  const reader = new Worker(new URL(import.meta.url), { workerData: { reads: true } satisfies Reader });
  reader.on('message', (message: 'reading' | { error: number }) => {
    if (message === 'reading') InetUninitialize();
    else parentPort?.postMessage(message);
  });
} else {
  InetInitialize();
  const socket = InetConnect('192.0.2.1', PeerPort.Silent, INET_PROTOCOL_TCP, 0);
  parentPort?.postMessage('reading');
  InetRead(socket, new Uint8Array(1));
  parentPort?.postMessage({ error: InetGetLastError() });
}
