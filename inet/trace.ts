import { resolve } from 'node:path';
import { SharedSocket } from '../engine/shared-socket.ts';
import { SocketStatus, TEXT_BYTES } from '../engine/socket-block.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { INET_TRACE_DEFAULT, INET_TRACE_SECRETS } from './constants.ts';
import { failed } from './error-codes.ts';
import { currentSession } from './session.ts';
import { sleepSend } from './wait.ts';

/** The traces that this thread has begun and not ended, the latest last. */
const begun: SharedSocket[] = [];

/**
 * Writes all packets of the stack to a file from now on, whoever they belong to: pcapng, which Wireshark and tshark read. A file
 * that exists is gone on with. The trace is the process's: further calls, of any thread, join it, and it goes on until each of
 * them was taken back by {@link InetDisableTrace}.
 *
 * @param traceFile path, at most 250 bytes; null: the file of the trace that is under way
 * @param traceFlags INET_TRACE_DEFAULT; INET_TRACE_SECRETS: the secrets of TLS connections that begin from now on go along, and
 * whoever has the file can read them
 * @returns false on failure: ARGUMENT_INVALID (0x80042726: the file cannot be written, or another one is under way),
 * NOT_INITIALIZED (0x8004276D), ENGINE_STOPPED
 *
 * Source: SocketWrench names it; that tracing is the process's, counted, and appends is from its ActiveX control. The signature and
 * the format are ours.
 *
 * @example
 * InetEnableTrace('session.pcapng', INET_TRACE_SECRETS);
 */
export function InetEnableTrace(traceFile: string | null, traceFlags: number = INET_TRACE_DEFAULT): boolean {
  try {
    const { client } = currentSession();
    const path = traceFile === null ? '' : resolve(traceFile);
    if (Buffer.byteLength(path) > TEXT_BYTES) {
      throw invalid(
        `the path of a trace has at most ${TEXT_BYTES} bytes, this one has ${Buffer.byteLength(path)}`,
      );
    }
    if ((traceFlags & ~INET_TRACE_SECRETS) !== 0) {
      throw invalid(`trace flags are INET_TRACE_DEFAULT and INET_TRACE_SECRETS, got ${traceFlags}`);
    }
    const trace = SharedSocket.trace(client, path, (traceFlags & INET_TRACE_SECRETS) !== 0);
    awaitOpen(trace);
    begun.push(trace);
    return true;
  } catch (error) {
    return failed(error, false);
  }
}

/**
 * Takes back one {@link InetEnableTrace} of this thread. The file is complete when the last one was taken back.
 * @returns false on failure: OPTION_INVALID (0x80042732: this thread has begun none), NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketWrench names it; its signature is not published.
 *
 * @example
 * InetDisableTrace();
 */
export function InetDisableTrace(): boolean {
  try {
    currentSession();
    const trace = begun.pop();
    if (trace === undefined) {
      throw new NetError('OPTION_INVALID', {
        phase: Phase.Argument,
        detail: 'this thread has begun no trace, or has ended it',
      });
    }
    trace.release();
    return true;
  } catch (error) {
    return failed(error, false);
  }
}

/** This thread does not use the engine any more. */
export function releaseTraces(): void {
  for (const trace of begun.splice(0)) trace.release();
}

function awaitOpen(trace: SharedSocket): void {
  try {
    for (;;) {
      const { sendSequence } = trace;
      if (trace.status === SocketStatus.Open) return;
      trace.throwIfFailed();
      sleepSend(trace, sendSequence, Infinity);
    }
  } catch (error) {
    trace.release();
    throw error;
  }
}

function invalid(detail: string): NetError {
  return new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
}
