import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Device } from '../../drivers/device.ts';
import * as sys from '../../drivers/syscalls.ts';
import { openTun } from '../../drivers/tun.ts';
import { VIRTIO_HEADER_BYTES } from '../../drivers/virtio-net.ts';
import { CHUNK_BYTES, type RunRequest, type RunResult, type SubjectOptions } from '../job.ts';
import { type Face, gigabits } from './face.ts';

const IPV4_HEADER_BYTES = 20;
const TCP_HEADER_BYTES = 20;
const IP_UDP_HEADER_BYTES = 28;
/** Calls between two looks at the clock. */
const CALLS = 64;
/** Bytes put into the device's queue for each measurement of reading; the queue is long enough for them. */
const FILL_BYTES: number = 16 * 1024 * 1024;
/** Where the datagrams that fill it are sent to. */
const DISCARD_PORT = 9;
const ROOM_BYTES: number = 2 * CHUNK_BYTES;

/**
 * What the device allows: a loop of write calls whose packets the kernel drops at its first look, and a loop of read calls on a
 * queue filled before.
 */
export class DeviceFace implements Face {
  readonly #subject: SubjectOptions;
  readonly #device: Device;
  readonly #fd: number;
  readonly #headerBytes: number;
  readonly #memory: Uint8Array = new Uint8Array(new ArrayBuffer(ROOM_BYTES));
  readonly #address: number = sys.addressOf(this.#memory);
  readonly #filler: Socket;

  private constructor(subject: SubjectOptions, filler: Socket) {
    this.#subject = subject;
    this.#filler = filler;
    this.#device = openTun(subject.device.slice('tun:'.length), { offload: subject.offload });
    this.#fd = this.#device.pollFd;
    this.#headerBytes = subject.offload ? VIRTIO_HEADER_BYTES : 0;
  }

  static async start(subject: SubjectOptions): Promise<DeviceFace> {
    const filler = createSocket('udp4');
    filler.connect(DISCARD_PORT, subject.ownAddress);
    await once(filler, 'connect');
    return new DeviceFace(subject, filler);
  }

  async run(request: RunRequest): Promise<RunResult> {
    if (this.#subject.job.kind === 'device-write') return this.#write(request);
    return this.#read(request);
  }

  async close(): Promise<void> {
    this.#filler.close();
    this.#device.close();
  }

  #write(request: RunRequest): RunResult {
    const bytes = this.#headerBytes + this.#subject.job.packetBytes;
    this.#makePacket();
    const until = (end: number): number => {
      let written = 0;
      while (performance.now() < end) {
        for (let i = 0; i < CALLS; i++) {
          const result = sys.write(this.#fd, this.#address, bytes);
          if (result !== bytes) throw new Error(`write: ${sys.errnoName(result)}`);
        }
        written += CALLS;
      }
      return written;
    };
    until(performance.now() + request.warmUpSeconds * 1000);
    const start = performance.now();
    const written = until(start + request.seconds * 1000);
    return this.#result(written, performance.now() - start);
  }

  /** A TCP packet, cut into segments if it is long, whose IPv4 header says that it is shorter than a header. */
  #makePacket(): void {
    const { packetBytes } = this.#subject.job;
    const view = new DataView(this.#memory.buffer);
    const ip = this.#headerBytes;
    view.setUint8(ip, 0x44);
    view.setUint16(ip + 2, packetBytes);
    view.setUint8(ip + 8, 64);
    view.setUint8(ip + 9, 6);
    view.setUint8(ip + IPV4_HEADER_BYTES + 12, 0x50);
    if (!this.#subject.offload) return;
    // linux/virtio_net.h: NEEDS_CSUM, GSO_TCPV4, header length, segment length, checksum start and offset
    view.setUint8(0, 1);
    view.setUint8(1, packetBytes > 1500 ? 1 : 0);
    view.setUint16(2, IPV4_HEADER_BYTES + TCP_HEADER_BYTES, true);
    view.setUint16(4, packetBytes > 1500 ? 1460 : 0, true);
    view.setUint16(6, IPV4_HEADER_BYTES, true);
    view.setUint16(8, 16, true);
  }

  async #read(request: RunRequest): Promise<RunResult> {
    let packets = 0;
    let elapsedMs = 0;
    const end = performance.now() + request.seconds * 1000;
    // filling takes longer than reading, and counts for the end of the run but not for the result
    while (performance.now() < end || packets === 0) {
      await this.#fill();
      const start = performance.now();
      while (sys.read(this.#fd, this.#address, ROOM_BYTES) > 0) packets++;
      elapsedMs += performance.now() - start;
    }
    return this.#result(packets, elapsedMs);
  }

  async #fill(): Promise<void> {
    const { job } = this.#subject;
    const payload = this.#memory.subarray(0, job.packetBytes - IP_UDP_HEADER_BYTES);
    const sends = Math.floor(FILL_BYTES / job.packetBytes);
    for (let sent = 0; sent < sends; sent += CALLS) {
      const some = Math.min(CALLS, sends - sent);
      await Promise.all(
        Array.from({ length: some }, () => new Promise((done) => this.#filler.send(payload, done))),
      );
    }
  }

  #result(packets: number, elapsedMs: number): RunResult {
    const bytes = packets * this.#subject.job.packetBytes;
    return {
      value: gigabits(bytes, elapsedMs),
      details: { 'packets/s': Math.round((packets * 1000) / elapsedMs) },
    };
  }
}
