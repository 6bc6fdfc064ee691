import type { LinkCapabilities, PacketSink } from '../stack/link.ts';
import type { Slab } from '../stack/wire/slab.ts';

/** Where a device hands in what it received: an interface of a stack, or a device that wraps this one. */
export interface PacketInput {
  /**
   * Takes one IP packet. Valid during the call only.
   * @param flags bits of `RxFlag`
   */
  input(slab: Slab, off: number, len: number, flags: number): void;
}

/**
 * Something that carries IP packets, driven by one thread. A device that is gone (its interface deleted) throws
 * NetError DEVICE_LOST from {@link receive} and {@link PacketSink.send}.
 */
export interface Device extends PacketSink {
  /** As the user named it: `tun:lab0`. */
  readonly name: string;
  readonly capabilities: LinkCapabilities;
  readonly counters: DeviceCounters;
  /** Descriptor to poll: for reading always, for writing after `send` returned false. -1: the device wakes the thread by other means. */
  readonly pollFd: number;
  /**
   * Hands received packets to `input` until none is left or `budget` packets are read.
   * @returns packets read; equal to `budget`: there may be more, call again before sleeping
   */
  receive(input: PacketInput, budget: number): number;
  /** After a burst of `send`: the device passes on what it gathered and wakes the peer. */
  flush(): void;
  /**
   * Tells the device that its thread is about to sleep. @returns false when it must not: there is input, or room again
   * after `send` returned false. After true, {@link awake} follows.
   */
  prepareSleep(): boolean;
  awake(): void;
  /** When {@link advance} is to be called next, in milliseconds of the engine's clock; Infinity: not needed. */
  nextDeadline(): number;
  /** Does what is due: delayed packets, writing out a capture. */
  advance(now: number): void;
  /** Gives everything back; the device is not used after it. May be called twice. */
  close(): void;
}

/** What a device carried and why it dropped, as `ip -s link` shows it. */
export class DeviceCounters {
  rxPackets = 0;
  rxBytes = 0;
  txPackets = 0;
  txBytes = 0;
  /** Sends that found the device full: not lost, the stack keeps the packet. */
  txFull = 0;
  /** Sent while the interface was down or the peer was not there. */
  txDroppedDown = 0;
  /** Found a queue full that does not tell when it has room: the interface's own, or that of one port of many. */
  txDroppedQueue = 0;
  /** Larger than what the device takes. */
  txDroppedTooLarge = 0;
  /** Refused by the system for any other reason. */
  txDroppedError = 0;
  /** Came faster than they were read, and overflowed what the system keeps for us. */
  rxDroppedQueue = 0;
  /** Received without anything behind their link header. */
  rxDroppedShort = 0;
  /** Several packets in one, of a kind that is not known, or whose headers do not fit it. */
  rxDroppedSuperPacket = 0;
  /** Of a capture that is played: frames without an IP packet, or with one that is too large. */
  rxDroppedNotIp = 0;
}
