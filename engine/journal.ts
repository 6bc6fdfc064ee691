import type { PcapngWriter } from '../drivers/pcapng.ts';
import type { InterfaceSettings } from '../stack/ip/interface.ts';
import type { LinkCapabilities } from '../stack/link.ts';
import { Ring } from '../stack/ring.ts';
import type { TcpConnection } from '../stack/tcp/connection.ts';
import type { SendOptions } from '../stack/tcp/send-policy.ts';
import type { ConnectOptions } from '../stack/tcp/tcp-layer.ts';
import type { IpAddress, IpPrefix } from '../stack/wire/ip-address.ts';
import type { BufferSizes } from './socket-table.ts';

/** A device's capabilities as JSON has them: the station address as its six bytes. */
export interface JournaledCapabilities extends Omit<LinkCapabilities, 'ethernet'> {
  readonly ethernet?: { readonly address: readonly number[] };
}

/** What a journal begins with: how the stack was set up. */
export interface JournalHeader {
  readonly seed: number;
  /** Time of day at the clock's 0, in whole milliseconds since 1970: the packets' times are counted from there. */
  readonly epochMs: number;
  readonly startMs: number;
  readonly addresses: readonly string[];
  readonly gateways: readonly string[];
  readonly capabilities: JournaledCapabilities;
  readonly sizes: BufferSizes;
  readonly sending: SendOptions;
}

/** One thing that an application did: with a connection, by its number, or `connect` with the port and options. */
export type JournalCall = readonly [call: string, connection: number, ...more: unknown[]];

/**
 * Writes into a capture, as notes between the packets, what else the stack was told: when its turns were, what applications did, and how
 * far they had written and read. With the seed that is all a run depends on, so that it can be done again byte for byte.
 *
 * Applications move the positions of the rings at any time, from other threads. While a journal is kept the stack sees them as they
 * were at the beginning of the turn, or at the command that told of them ({@link LatchedRing}).
 */
export class Journal {
  readonly #writer: PcapngWriter;
  #calls: JournalCall[] = [];
  #now = 0;
  #isDue = false;

  constructor(writer: PcapngWriter, header: JournalHeader) {
    this.#writer = writer;
    writer.note(JSON.stringify({ journal: 1, ...header }));
  }

  /** A turn begins. @param isDue it may do something even when nobody calls and nothing comes */
  begin(now: number, connections: Iterable<[number, TcpConnection]>, isDue: boolean): void {
    // what was done after the last turn had ended
    if (this.#calls.length > 0) this.#write({ late: this.#calls });
    for (const [index, connection] of connections) this.latch(index, connection);
    this.#now = now;
    this.#isDue = isDue;
  }

  /** Looks where the application is now in its rings. */
  latch(index: number, { sendRing, recvRing }: TcpConnection): void {
    if (sendRing instanceof LatchedRing && sendRing.latch()) this.call('written', index, sendRing.head);
    if (recvRing instanceof LatchedRing && recvRing.latch()) this.call('taken', index, recvRing.tail);
  }

  /** What was done in this turn. */
  call(call: string, connection: number, ...more: unknown[]): void {
    this.#calls.push([call, connection, ...more]);
  }

  /** The calls of the turn are over: packets follow. */
  flush(): void {
    if (this.#isDue || this.#calls.length > 0) this.#write({ at: this.#now, calls: this.#calls });
  }

  connect(
    port: number,
    options: Pick<ConnectOptions, 'noDelay' | 'keepAlive' | 'congestion' | 'policy'>,
  ): void {
    const { noDelay, keepAlive, congestion, policy } = options;
    this.call('connect', -1, port, { noDelay, keepAlive, congestion, policy });
  }

  /** The network has told what an interface is to be. @param hopLimit of IPv6 packets, as it said */
  configured(source: string, settings: InterfaceSettings | null, hopLimit: number): void {
    const said = settings === null ? null : { ...settings, addresses: settings.addresses.map(addressText) };
    const routes = settings?.routes.map(({ prefix, gateway }) => [
      `${prefix.address}/${prefix.prefixLength}`,
      gateway === null ? null : `${gateway}`,
    ]);
    this.call('configured', -1, source, said === null ? null : { ...said, routes }, hopLimit);
  }

  /** A connection to an address of the name begins. */
  attempt(address: IpAddress, port: number): void {
    this.call('attempt', -1, `${address}`, port);
  }

  opened(index: number, connection: TcpConnection): void {
    const { localPort, remotePort, remote } = connection;
    this.call('opened', index, localPort, `${remote}`, remotePort);
  }

  #write(entry: object): void {
    this.#writer.note(JSON.stringify(entry));
    this.#calls = [];
  }
}

function addressText({ address, prefixLength, isDeprecated, isTemporary }: IpPrefix): object {
  return { address: `${address}`, prefixLength, isDeprecated, isTemporary };
}

/** A ring whose other end, in the hands of the application, stands where it was last looked for. */
export class LatchedRing extends Ring {
  readonly #words: Int32Array;
  readonly #index: number;
  readonly #isSend: boolean;
  #latched: number;
  #isFresh = true;

  /** @param isSend the application writes; else it reads */
  constructor(ring: Ring, words: Int32Array, headIndex: number, tailIndex: number, isSend: boolean) {
    super(ring.slab, ring.base, ring.capacityBytes, words, headIndex, tailIndex);
    this.#words = words;
    this.#index = isSend ? headIndex : tailIndex;
    this.#isSend = isSend;
    this.#latched = Atomics.load(words, this.#index);
  }

  /** @returns true when the application has moved */
  latch(): boolean {
    const before = this.#latched;
    const wasFresh = this.#isFresh;
    this.#latched = Atomics.load(this.#words, this.#index);
    this.#isFresh = false;
    return wasFresh || this.#latched !== before;
  }

  override get head(): number {
    return this.#isSend ? this.#latched : super.head;
  }

  override get tail(): number {
    return this.#isSend ? super.tail : this.#latched;
  }
}
