import type { PacketSink, TxPacket } from '../link.ts';

/** A packet as a device got it, with its offload requests. */
export interface SunkPacket {
  readonly bytes: Uint8Array;
  readonly gsoBytes: number;
  readonly csumStart: number;
  readonly csumOffset: number;
}

/** A device that keeps what it gets. */
export class RecordingSink implements PacketSink {
  readonly packets: SunkPacket[] = [];
  /** How many more packets fit before it says that it is full. */
  room: number = Infinity;

  send(packet: TxPacket): boolean {
    if (this.room <= 0) return false;
    this.room--;
    const bytes = new Uint8Array(packet.lengthBytes);
    packet.gather(bytes, 0);
    const { gsoBytes, csumStart, csumOffset } = packet;
    this.packets.push({ bytes, gsoBytes, csumStart, csumOffset });
    return true;
  }

  /** Takes the oldest packet out. */
  take(): Uint8Array {
    const packet = this.packets.shift();
    if (packet === undefined) throw new Error('no packet was sent');
    return packet.bytes;
  }
}
