import type { KeepAlive } from '../stack/tcp/keepalive.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import { OpenOption, type SocketBlock, SocketWord, TYPE_OF_SERVICE_SHIFT } from './socket-block.ts';

/** The family that was asked for, before there is a peer. */
export function familyOf(block: SocketBlock): 0 | 4 | 6 {
  const family = block.get(SocketWord.RemoteFamily);
  return family === 4 || family === 6 ? family : 0;
}

/** The application's part of the octet: the bits of ECN are TCP's (RFC 3168 §6.1). */
export function trafficClassOf(block: SocketBlock): number {
  return (block.get(SocketWord.Options) >>> TYPE_OF_SERVICE_SHIFT) & 0xfc;
}

/** Of literals that have been checked. */
export function addressesIn(text: string): IpAddress[] {
  return text.split(' ').flatMap((literal) => IpAddress.parse(literal) ?? []);
}

/** Null: none is wanted. */
export function keepAliveOf(block: SocketBlock): KeepAlive | null {
  if ((block.get(SocketWord.Options) & OpenOption.KeepAlive) === 0) return null;
  return {
    idleMs: block.get(SocketWord.KeepAliveIdleMs),
    intervalMs: block.get(SocketWord.KeepAliveIntervalMs),
    count: block.get(SocketWord.KeepAliveCount),
  };
}
