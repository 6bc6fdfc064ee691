import { parentPort, workerData } from 'node:worker_threads';
import {
  InetEnableTrace,
  InetGetErrorString,
  InetGetLastError,
  InetInitialize,
  InetUninitialize,
} from '../index.ts';

InetInitialize();
const isTraced = InetEnableTrace(workerData as string);
parentPort?.once('message', () => {
  // which ends the trace too
  InetUninitialize();
  parentPort?.unref();
});
parentPort?.postMessage(isTraced ? 'begun' : InetGetErrorString(InetGetLastError()));
