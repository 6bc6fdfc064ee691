import type { EventEmitter } from 'node:events';
import { isIPv6 } from 'node:net';
import { attemptsFrom } from '../engine/attempt-records.ts';
import type { SharedSocket } from '../engine/shared-socket.ts';
import { NetError, Phase } from '../stack/errors.ts';

const EVENTS = ['connectionAttempt', 'connectionAttemptFailed', 'connectionAttemptTimeout'];

interface Connecting extends EventEmitter {
  readonly autoSelectFamilyAttemptedAddresses: string[];
  readonly destroyed: boolean;
}

/** Node's events about the addresses that a connection is tried with, each told once. */
export class AttemptEvents {
  readonly #socket: Connecting;
  readonly #port: number;
  #records = 0;
  readonly #begun: Set<string> = new Set();
  readonly #ended: Set<string> = new Set();

  constructor(socket: Connecting, port: number) {
    this.#socket = socket;
    this.#port = port;
  }

  /** Has the engine wake this thread for each, if somebody listens; else they are told with what comes next. */
  listen(shared: SharedSocket): void {
    if (EVENTS.some((name) => this.#socket.listenerCount(name) > 0)) shared.wantAttempts();
  }

  /** Tells what has come since. */
  progress(shared: SharedSocket): void {
    const records = attemptsFrom(shared.block, this.#records);
    this.#records += records.length;
    for (const { address, code } of records) {
      if (code === null) this.#begin(address);
      else
        this.#end(new NetError(code, { phase: Phase.Connect, address, port: this.#port, detail: address }));
    }
  }

  /** Tells what the error has of addresses and was not told before. */
  failed(error: NetError): void {
    for (const each of error.errors ?? [error]) if (each.phase === 'connect') this.#end(each);
  }

  /** The address that has answered. */
  connected(address: string): void {
    this.#begin(address);
  }

  #begin(address: string): void {
    if (this.#socket.destroyed || this.#begun.has(address)) return;
    this.#begun.add(address);
    this.#socket.autoSelectFamilyAttemptedAddresses.push(`${address}:${this.#port}`);
    this.#socket.emit('connectionAttempt', address, this.#port, familyOf(address));
  }

  #end(error: NetError): void {
    const { address } = error;
    if (address === undefined || this.#ended.has(address)) return;
    this.#begin(address);
    this.#ended.add(address);
    if (this.#socket.destroyed) return;
    const what = [address, this.#port, familyOf(address)] as const;
    if (error.tunwireCode === 'TIMEOUT') this.#socket.emit('connectionAttemptTimeout', ...what);
    else this.#socket.emit('connectionAttemptFailed', ...what, error);
  }
}

function familyOf(address: string): 4 | 6 {
  return isIPv6(address) ? 6 : 4;
}
