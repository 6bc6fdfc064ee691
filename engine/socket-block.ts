import {
  ERRORS,
  type ErrorCode,
  type ErrorDetail,
  errorCodeOf,
  NetError,
  type Phase,
  Phase as PhaseTable,
} from '../stack/errors.ts';
import { Ring } from '../stack/ring.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import { type Arena, BLOCK_BYTES } from './arena.ts';
import { unpackFailures } from './failures.ts';

/**
 * The words of a socket's block in shared memory: 64 words, then text. Who writes what:
 * (app) the threads that use the socket, (engine) the engine alone, (both) by atomic operations.
 */
export const SocketWord = {
  /** (both) {@link SocketStatus} */
  Status: 0,
  /** (engine) counts up whenever the block is given back: stale handles show by it. */
  Generation: 1,
  /** (both) bits of {@link Command} */
  Commands: 2,
  NextCommand: 3,
  /** (both) bits of {@link SocketEvent} for the event slot's thread */
  Events: 4,
  NextReady: 5,
  NextFree: 6,
  /** (app) thread slot + 1 that wants events; 0: none */
  EventSlot: 7,
  /** (app) the thread that the socket belongs to, as Linux numbers it, and ends with; 0: none yet, -1: any thread */
  Owner: 8,
  /** (both) {@link StreamFlag} */
  Flags: 9,

  RecvHead: 10,
  RecvTail: 11,
  /** (engine) where the receive ring is: see {@link packRing}; 0: there is none */
  RecvRing: 12,
  /** (engine) the application tells of what it has read in steps of so many bytes */
  RecvStep: 13,
  /** Readers sleep on this; it counts up with every event that concerns reading. */
  RecvSequence: 14,
  /** 1: somebody sleeps */
  RecvWaiting: 15,
  /** (app) the tail the engine was last told of */
  RecvTold: 16,
  /** Held by a thread while it reads: see {@link SharedSocket}, and lockWord for what is in it */
  RecvLock: 17,

  SendHead: 18,
  SendTail: 19,
  /** (both) where the send ring is; 0: there is none. One that is there is changed by the engine alone, with the lock */
  SendRing: 20,
  /** (engine) records of {@link noteAttempt} in the text area; -1: it is used for something else now */
  Attempts: 21,
  SendSequence: 22,
  SendWaiting: 23,
  /** Held by a thread while it writes */
  SendLock: 24,

  /** (engine) number of {@link ERRORS}, 0: none */
  Error: 25,
  ErrorPhase: 26,
  ErrorPort: 27,
  /** Bytes of the text area in use: the host name on the way in, the error's detail on the way out. */
  TextBytes: 28,

  /** (app) what to open: {@link Operation} */
  Operation: 29,
  Protocol: 30,
  /** (app) bits of {@link OpenOption} */
  Options: 31,
  /** (app) milliseconds, 0: no limit */
  TimeoutMs: 32,
  KeepAliveIdleMs: 33,
  KeepAliveIntervalMs: 34,
  KeepAliveCount: 35,
  Backlog: 36,
  /**
   * (both) of a connection, in the word of `Backlog`: the ring with what is to be sent as soon as it is open; see
   * {@link SharedSocket.leaveFirstFlight}
   */
  FirstFlight: 36,

  LocalFamily: 37,
  LocalPort: 38,
  /** four words */
  LocalAddress: 39,
  RemoteFamily: 43,
  RemotePort: 44,
  /** four words */
  RemoteAddress: 45,

  /** (engine) microseconds from the request to the resolved name and to the established connection */
  ResolveMicros: 49,
  ConnectMicros: 50,
  /** (engine) offset of the TLS region in the slab, 0: none */
  TlsOffset: 51,
  /** (app) {@link TlsFlag} */
  TlsFlags: 52,
  /** (app) for the face on top: timeouts, last status */
  FaceTimeoutMs: 53,
  FaceStatus: 54,
  /** (app) the options the handle was opened with, as its face numbers them */
  FaceOptions: 55,
  /** (engine) addresses in the text area after a lookup; after a failed connection the bytes of {@link packFailures} in the receive ring */
  AddressCount: 56,
  /** (app) counts up with every cancellation: calls that began before it end */
  FaceCancels: 57,
  /** (app) counts up with every read that took something: an edge-like event may be raised again */
  FaceReads: 58,
  /** (app) counts up when TLS begins and when it ends: odd while the stream is TLS */
  FaceSecured: 59,
  /** (app) 1: a write found no room, and nobody was told of room since */
  FaceWriteBlocked: 60,
  /** (both) 1: a write found too little room, and its event loop wants to hear of room; the engine takes it back when it tells */
  SendWanted: 61,
  /** (app) {@link packSendOptions} */
  SendOptions: 62,
  /** (engine) UDP settings done so far (16 bits, counting round), above the number of the error that the last one ended with */
  UdpSettings: 63,
  /** (app) of a connection, in the word of `UdpSettings` */
  FirstFlightBytes: 63,
} as const;

/** Where the text begins in a block. */
export const TEXT_OFF: number = 64 * 4;
/** Room for a host name, an error's detail or fourteen addresses of 18 bytes. */
export const TEXT_BYTES: number = BLOCK_BYTES - TEXT_OFF;
/** Bytes of an address in the answer to a lookup: family, zone, then 16 bytes. */
export const ADDRESS_RECORD_BYTES = 18;
/** Where the zone of an address lies in the word of its family. */
const ZONE_SHIFT = 8;

export const SocketStatus = {
  Free: 0,
  /** Taken by an application, nothing opened yet. */
  Idle: 1,
  Opening: 2,
  Open: 3,
  /** Over; `Error` says why, 0: in order. */
  Closed: 4,
} as const;

/** What an application wants of the engine; bits. */
export const Command = {
  Open: 1,
  /** Bytes or datagrams were put in the send ring. */
  Sent: 2,
  /** A good part of the receive ring was freed. */
  Received: 4,
  Shutdown: 8,
  Abort: 16,
  /** The application lets go of the block: close in order, reuse the block when the protocol is done. */
  Release: 32,
  /** `Options` or keep-alive words changed. */
  Options: 64,
  /** Wants a TLS region. */
  Tls: 128,
  /** Wants a send ring, and there was no spare one. */
  Room: 256,
  /** A thread was ended while it had a lock: abort, and say so. */
  Abandon: 512,
} as const;

/** What the error says then. */
export const ABANDONED = 'a thread was ended in the middle of a read or a write';

/** Whole packets, headers and all, go through a raw socket. */
export const RAW_WHOLE = 0x100;

export const Operation = {
  Connect: 0,
  Listen: 1,
  Udp: 2,
  Lookup: 3,
  Records: 4,
  Trace: 5,
  Ask: 6,
  Probe: 7,
  /** RemotePort: the protocol number, and {@link RAW_WHOLE} with it; Backlog: the hop limit, 0: the usual one. */
  Raw: 8,
} as const;

export const OpenOption = {
  NoDelay: 1,
  KeepAlive: 2,
  PreferIpv6: 4,
  Broadcast: 8,
  DontRoute: 16,
  ReservedPort: 32,
  ReuseAddress: 64,
  Racing: 128,
  Secrets: 256,
  /** The text area is for what {@link noteAttempt} notes. */
  NoteAttempts: 512,
  /** Somebody waits for the first of these notes too. */
  TellAttempts: 1024,
  /** The text area has the addresses to connect to, in place of a name. */
  AddressList: 2048,
} as const;

/** Where the type of service of a connection lies in the word of {@link OpenOption}. */
export const TYPE_OF_SERVICE_SHIFT = 16;

export const StreamFlag = {
  /** The peer has closed its direction: what is in the receive ring is the last. */
  PeerFinished: 1,
  /** The application has closed its direction. */
  ShutDown: 2,
  /** (engine) the stack is done with the rings. */
  RingsClosed: 4,
  /** (engine) the application has released the block. */
  Released: 8,
} as const;

/** What happened, for the event slot's thread; bits. */
export const SocketEvent = {
  Opened: 1,
  Readable: 2,
  Writable: 4,
  Closed: 8,
  /** Posted by applications, see EngineClient.post. */
  TimedOut: 16,
  Cancelled: 32,
  /** Something was noted of the addresses that are tried. */
  Attempted: 64,
} as const;

const RING_UNIT_SHIFT = 10;
const CAPACITY_BITS = 5;

/** Where a ring is, in one word, so that threads see all of it or nothing. @param base a multiple of 1024 */
export function packRing(base: number, capacityBytes: number): number {
  return ((base >>> RING_UNIT_SHIFT) << CAPACITY_BITS) | (31 - Math.clz32(capacityBytes));
}

export function ringBase(place: number): number {
  return (place >>> CAPACITY_BITS) * (1 << RING_UNIT_SHIFT);
}

/** @returns 0 when there is no ring */
export function ringCapacity(place: number): number {
  return place === 0 ? 0 : 1 << (place & ((1 << CAPACITY_BITS) - 1));
}

// perf: a decoder for each text takes longer than the text (370 ns instead of 240, best of nine)
const decoder = new TextDecoder();

/** One thread's accessor to one socket's block. */
export class SocketBlock {
  readonly arena: Arena;
  readonly index: number;
  readonly words: Int32Array;
  /** Index of the block's first word. */
  readonly at: number;

  constructor(arena: Arena, index: number) {
    this.arena = arena;
    this.index = index;
    this.words = arena.words;
    this.at = arena.blockOffset(index) >> 2;
  }

  get(word: number): number {
    return Atomics.load(this.words, this.at + word);
  }

  set(word: number, value: number): void {
    Atomics.store(this.words, this.at + word, value);
  }

  /** @returns the bits before */
  or(word: number, bits: number): number {
    return Atomics.or(this.words, this.at + word, bits);
  }

  /** Zeroes everything for a new life, but for the generation and the lists that the block may still be on. */
  clear(): void {
    this.words.fill(0, this.at + SocketWord.EventSlot, this.at + TEXT_OFF / 4);
  }

  get text(): string {
    const from = this.arena.blockOffset(this.index) + TEXT_OFF;
    return decoder.decode(this.arena.slab.bytes.slice(from, from + this.get(SocketWord.TextBytes)));
  }

  /** Keeps what fits of the text. */
  set text(text: string) {
    const bytes = new TextEncoder().encode(text).subarray(0, TEXT_BYTES);
    this.arena.slab.bytes.set(bytes, this.arena.blockOffset(this.index) + TEXT_OFF);
    this.set(SocketWord.TextBytes, bytes.length);
  }

  /** @param word LocalFamily or RemoteFamily */
  address(word: number): IpAddress | null {
    const familyZone = this.get(word);
    const family = familyZone & 0xff;
    if (family !== 4 && family !== 6) return null;
    const at = word + 2;
    const zone = familyZone >>> ZONE_SHIFT;
    return new IpAddress(family, this.get(at), this.get(at + 1), this.get(at + 2), this.get(at + 3), zone);
  }

  /** @param word LocalFamily or RemoteFamily */
  setAddress(word: number, address: IpAddress | null, port: number): void {
    this.set(word, address === null ? 0 : address.family | (address.zone << ZONE_SHIFT));
    this.set(word + 1, port);
    this.set(word + 2, address?.w0 ?? 0);
    this.set(word + 3, address?.w1 ?? 0);
    this.set(word + 4, address?.w2 ?? 0);
    this.set(word + 5, address?.w3 ?? 0);
  }

  setError(code: ErrorCode, phase: Phase, detail: string): void {
    if (this.get(SocketWord.Attempts) !== 0) this.set(SocketWord.Attempts, -1);
    this.text = detail;
    this.set(SocketWord.ErrorPhase, phase);
    this.set(SocketWord.Error, ERRORS[code].number);
  }

  /** The failure that ended the socket, null when there is none. */
  get error(): NetError | null {
    const number = this.get(SocketWord.Error);
    if (number === 0) return null;
    const remote = this.address(SocketWord.RemoteFamily);
    return new NetError(errorCodeOf(number), {
      phase: (this.get(SocketWord.ErrorPhase) || PhaseTable.None) as Phase,
      detail: this.text,
      ...this.#failures,
      ...(remote === null ? {} : { address: remote.toString(), port: this.get(SocketWord.RemotePort) }),
    });
  }

  /** The failures of several addresses, with the whole text about them. */
  get #failures(): Pick<ErrorDetail, 'detail' | 'errors'> {
    const lengthBytes = this.get(SocketWord.AddressCount);
    const place = this.get(SocketWord.RecvRing);
    if (lengthBytes === 0 || place === 0) return {};
    const base = ringBase(place);
    return unpackFailures(this.arena.slab.bytes.slice(base, base + lengthBytes));
  }

  /** The receive ring at `place`, which is not 0. */
  recvRing(place: number): Ring {
    const { words, at } = this;
    return new Ring(
      this.arena.slab,
      ringBase(place),
      ringCapacity(place),
      words,
      at + SocketWord.RecvHead,
      at + SocketWord.RecvTail,
    );
  }

  /** Makes `place` the send ring's, unless there is one. @returns where the send ring is then */
  takeSendPlace(place: number): number {
    const there = Atomics.compareExchange(this.words, this.at + SocketWord.SendRing, 0, place);
    return there === 0 ? place : there;
  }

  /** Whoever takes it sends it. @returns where it lies, 0: there is none any more */
  takeFirstFlight(): number {
    return Atomics.exchange(this.words, this.at + SocketWord.FirstFlight, 0);
  }

  /** The send ring at `place`, which is not 0. */
  sendRing(place: number): Ring {
    const { words, at } = this;
    return new Ring(
      this.arena.slab,
      ringBase(place),
      ringCapacity(place),
      words,
      at + SocketWord.SendHead,
      at + SocketWord.SendTail,
    );
  }

  /** Engine: tells sleeping readers. @returns true when one was woken */
  wakeReaders(): boolean {
    return this.#wake(SocketWord.RecvSequence, SocketWord.RecvWaiting);
  }

  /** Engine: tells sleeping writers, and whoever waits for the opening. */
  wakeWriters(): boolean {
    return this.#wake(SocketWord.SendSequence, SocketWord.SendWaiting);
  }

  #wake(sequence: number, waiting: number): boolean {
    Atomics.add(this.words, this.at + sequence, 1);
    if (Atomics.exchange(this.words, this.at + waiting, 0) === 0) return false;
    Atomics.notify(this.words, this.at + sequence);
    return true;
  }
}
