import { createServer, type Server, type Socket } from 'node:net';
import type { Device } from '../../drivers/device.ts';
import { TxPacket } from '../../stack/link.ts';
import { ETHERNET_HEADER_BYTES, EtherType, VLAN_TAG_BYTES } from '../../stack/wire/ethernet.ts';
import { Slab } from '../../stack/wire/slab.ts';

/** Two addresses; the tag lies behind them. */
const TAG_AT = 12;
const LENGTH_BYTES = 4;
const POLL_MS = 1;
const BATCH = 64;

/**
 * What a switch does between a port that carries VLANs and one that belongs to one of them: frames of the stream without the tag go to a
 * device, what comes from there gets it. Frames without the tag are dropped, as those of other VLANs.
 */
export class AccessPort {
  readonly server: Server;
  /** Whole frames as they were on the stream, both ways. */
  readonly frames: Uint8Array[] = [];
  dropped = 0;
  readonly #device: Device;
  readonly #id: number;
  #socket: Socket | null = null;
  #pending: Buffer = Buffer.alloc(0);
  readonly #timer: NodeJS.Timeout;

  /** @param path where the stream's server listens. @param device Ethernet without offload; closed with this */
  constructor(path: string, device: Device, id: number) {
    this.#device = device;
    this.#id = id;
    this.server = createServer((socket) => {
      this.#socket = socket;
      socket.on('data', (bytes) => this.#received(bytes));
      // the stack has gone
      socket.on('error', () => socket.destroy());
    }).listen(path);
    const input = {
      input: (slab: Slab, off: number, len: number): void =>
        this.#toStack(slab.bytes.subarray(off, off + len)),
    };
    this.#timer = setInterval(() => device.receive(input, BATCH), POLL_MS);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#socket?.destroy();
    this.server.close();
    this.#device.close();
  }

  #received(bytes: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, bytes]);
    while (this.#pending.length >= LENGTH_BYTES) {
      const end = LENGTH_BYTES + this.#pending.readUInt32BE(0);
      if (this.#pending.length < end) return;
      this.#toDevice(this.#pending.subarray(LENGTH_BYTES, end));
      this.#pending = this.#pending.subarray(end);
    }
  }

  #toDevice(frame: Buffer): void {
    if (
      frame.readUInt16BE(TAG_AT) !== EtherType.Vlan ||
      (frame.readUInt16BE(TAG_AT + 2) & 0xfff) !== this.#id
    ) {
      this.dropped++;
      return;
    }
    this.frames.push(frame);
    const packet = new TxPacket(Slab.alloc(128));
    packet.headLen = ETHERNET_HEADER_BYTES;
    packet.head.bytes.set(frame.subarray(0, TAG_AT), packet.headOff);
    const rest = Slab.alloc(frame.length - TAG_AT - VLAN_TAG_BYTES);
    rest.bytes.set(frame.subarray(TAG_AT + VLAN_TAG_BYTES));
    packet.head.bytes.set(rest.bytes.subarray(0, 2), packet.headOff + TAG_AT);
    packet.body = rest;
    packet.bodyOff = 2;
    packet.bodyLen = rest.lengthBytes - 2;
    if (!this.#device.send(packet)) this.dropped++;
    this.#device.flush();
  }

  #toStack(frame: Uint8Array): void {
    const out = Buffer.alloc(LENGTH_BYTES + frame.length + VLAN_TAG_BYTES);
    out.writeUInt32BE(frame.length + VLAN_TAG_BYTES);
    out.set(frame.subarray(0, TAG_AT), LENGTH_BYTES);
    out.writeUInt16BE(EtherType.Vlan, LENGTH_BYTES + TAG_AT);
    out.writeUInt16BE(this.#id, LENGTH_BYTES + TAG_AT + 2);
    out.set(frame.subarray(TAG_AT), LENGTH_BYTES + TAG_AT + VLAN_TAG_BYTES);
    this.frames.push(out.subarray(LENGTH_BYTES));
    this.#socket?.write(out);
  }
}
