import type { RxPacket } from '../context.ts';
import type { Ring } from '../ring.ts';
import type { IpAddress } from '../wire/ip-address.ts';

/**
 * Datagrams in a {@link Ring}, as records of a header and a payload padded to 4 bytes. Header, in network order: type of service of what was
 * received (u8), payload length (u24), port (u16), zone of the address (u8), family (u8: 4, 6, 0 for "the connected peer", or {@link SETTING_FAMILY}), address (4 words), local
 * address (4 words). In a send ring the address is the destination, and there is no local one; in a receive ring the address is the source, and the
 * local one what the datagram was sent to. Records are whole or not there at all, and may wrap anywhere.
 */
export const RECORD_HEADER_BYTES = 40;
/** Where the local address stands in the header. */
const LOCAL_ADDRESS = 24;
/** In the place of a family: not a datagram but a setting (setting-record.ts). In send rings only. */
export const SETTING_FAMILY = 1;

/** The header of one record, and where its payload lies. Made once and filled by {@link peekDatagram}. */
export class DatagramHeader {
  lengthBytes = 0;
  port = 0;
  /** 0: no address; the connected peer. 1: {@link SETTING_FAMILY}. */
  family: 0 | 1 | 4 | 6 = 0;
  w0 = 0;
  w1 = 0;
  w2 = 0;
  w3 = 0;
  /** In a receive ring: the address it was sent to, of the same family. */
  local0 = 0;
  local1 = 0;
  local2 = 0;
  local3 = 0;
  /** In a receive ring: the type of service or traffic class of its packet, with the two bits of ECN (RFC 2474, 3168). */
  trafficClass = 0;
  /** Of the address, see {@link IpAddress}; 0 … 255. */
  zone = 0;
  /** Ring position of the payload. */
  position = 0;
}

/** Bytes that a record with this payload takes in a ring. */
export function recordBytes(payloadBytes: number): number {
  return RECORD_HEADER_BYTES + ((payloadBytes + 3) & ~3);
}

/** Producer: the largest payload that fits now; negative when not even an empty datagram does. */
export function datagramRoom(ring: Ring): number {
  return (ring.freeBytes & ~3) - RECORD_HEADER_BYTES;
}

/**
 * Producer: appends one datagram.
 * @param family 0 with zero words: to the connected peer
 * @returns false when it does not fit: nothing was written
 */
export function pushDatagram(
  ring: Ring,
  family: 0 | 4 | 6,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
  port: number,
  from: Uint8Array,
  fromOff: number,
  lengthBytes: number,
): boolean {
  return pushRecord(ring, family, w0, w1, w2, w3, port, from, fromOff, lengthBytes, 0);
}

/** Producer: {@link pushDatagram}, or a setting. */
export function pushRecord(
  ring: Ring,
  family: 0 | 1 | 4 | 6,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
  port: number,
  from: Uint8Array,
  fromOff: number,
  lengthBytes: number,
  zone: number,
): boolean {
  const record = putRecord(ring, family, w0, w1, w2, w3, port, from, fromOff, lengthBytes, zone);
  ring.advanceHead(record);
  return record > 0;
}

/** Writes all but the local address of a record, which is not seen before the head moves. @returns its bytes; 0: it does not fit */
function putRecord(
  ring: Ring,
  family: 0 | 1 | 4 | 6,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
  port: number,
  from: Uint8Array,
  fromOff: number,
  lengthBytes: number,
  zone: number,
): number {
  const record = recordBytes(lengthBytes);
  if (record > ring.freeBytes) return 0;
  const { view } = ring.slab;
  const { head } = ring;
  view.setInt32(ring.offsetOf(head), lengthBytes);
  view.setInt32(ring.offsetOf(head + 4), (port << 16) | (zone << 8) | family);
  view.setInt32(ring.offsetOf(head + 8), w0);
  view.setInt32(ring.offsetOf(head + 12), w1);
  view.setInt32(ring.offsetOf(head + 16), w2);
  view.setInt32(ring.offsetOf(head + 20), w3);
  if (lengthBytes > 0) ring.copyIn(head + RECORD_HEADER_BYTES, from, fromOff, lengthBytes);
  return record;
}

/** Producer: {@link pushDatagram} of what was received. @param off in the packet's slab */
export function pushReceived(
  ring: Ring,
  rx: RxPacket,
  port: number,
  off: number,
  lengthBytes: number,
): boolean {
  const { family, src0, src1, src2, src3, slab, senderZone } = rx;
  const { bytes } = slab;
  const record = putRecord(ring, family, src0, src1, src2, src3, port, bytes, off, lengthBytes, senderZone);
  if (record === 0) return false;
  const { view } = ring.slab;
  const { head } = ring;
  view.setInt32(ring.offsetOf(head), (rx.trafficClass << 24) | lengthBytes);
  view.setInt32(ring.offsetOf(head + LOCAL_ADDRESS), rx.dst0);
  view.setInt32(ring.offsetOf(head + LOCAL_ADDRESS + 4), rx.dst1);
  view.setInt32(ring.offsetOf(head + LOCAL_ADDRESS + 8), rx.dst2);
  view.setInt32(ring.offsetOf(head + LOCAL_ADDRESS + 12), rx.dst3);
  ring.advanceHead(record);
  return true;
}

/** Producer: {@link pushDatagram} with an address object; null: to the connected peer. */
export function pushDatagramTo(
  ring: Ring,
  to: IpAddress | null,
  port: number,
  from: Uint8Array,
  fromOff: number,
  lengthBytes: number,
): boolean {
  if (to === null) return pushDatagram(ring, 0, 0, 0, 0, 0, port, from, fromOff, lengthBytes);
  const { family, w0, w1, w2, w3, zone } = to;
  return pushRecord(ring, family, w0, w1, w2, w3, port, from, fromOff, lengthBytes, zone);
}

/**
 * Consumer: reads the header of the oldest datagram.
 * @param ahead bytes of the records before the one to be read
 * @returns false when there is none
 */
export function peekDatagram(ring: Ring, into: DatagramHeader, ahead: number = 0): boolean {
  const used = ring.usedBytes - ahead;
  if (used < RECORD_HEADER_BYTES) return false;
  const { view } = ring.slab;
  const tail = ring.tail + ahead;
  const classLength = view.getUint32(ring.offsetOf(tail));
  const length = classLength & 0xffffff;
  // The other side is a thread of ours; a length that cannot be is still not followed.
  if (recordBytes(length) > used || length > used) return false;
  const portFamily = view.getInt32(ring.offsetOf(tail + 4));
  const family = portFamily & 0xff;
  into.lengthBytes = length;
  into.trafficClass = classLength >>> 24;
  into.port = portFamily >>> 16;
  into.family = family === 4 || family === 6 || family === SETTING_FAMILY ? family : 0;
  into.zone = (portFamily >>> 8) & 0xff;
  into.w0 = view.getInt32(ring.offsetOf(tail + 8));
  into.w1 = view.getInt32(ring.offsetOf(tail + 12));
  into.w2 = view.getInt32(ring.offsetOf(tail + 16));
  into.w3 = view.getInt32(ring.offsetOf(tail + 20));
  into.local0 = view.getInt32(ring.offsetOf(tail + LOCAL_ADDRESS));
  into.local1 = view.getInt32(ring.offsetOf(tail + LOCAL_ADDRESS + 4));
  into.local2 = view.getInt32(ring.offsetOf(tail + LOCAL_ADDRESS + 8));
  into.local3 = view.getInt32(ring.offsetOf(tail + LOCAL_ADDRESS + 12));
  into.position = (tail + RECORD_HEADER_BYTES) | 0;
  return true;
}

/** Consumer: gives the oldest datagram's memory back. @param header what {@link peekDatagram} read */
export function shiftDatagram(ring: Ring, header: DatagramHeader): void {
  ring.advanceTail(recordBytes(header.lengthBytes));
}
