import { setTimeout as sleep } from 'node:timers/promises';
import type { SharedSocket } from '../engine/shared-socket.ts';
import { Command, SocketStatus, SocketWord } from '../engine/socket-block.ts';
import { DatagramHeader, peekDatagram, pushDatagram, shiftDatagram } from '../stack/udp/datagram-ring.ts';
import { writeAll } from './standard-io.ts';

/** The largest datagram that is made of standard input, as with nc. */
export const INPUT_DATAGRAM_BYTES: number = 16 * 1024;
/** How long answers are waited for after the end of standard input, from the last datagram in either direction. */
export const LINGER_MS = 1000;

/** Moves datagrams between a UDP socket with a default destination and two file descriptors. */
export class DatagramPump {
  sentBytes = 0;
  receivedBytes = 0;
  readonly #socket: SharedSocket;
  #wake: (() => void)[] = [];
  #lastAt: number = performance.now();

  constructor(socket: SharedSocket) {
    this.#socket = socket;
    socket.client.ref();
    socket.watch(() => {
      const woken = this.#wake;
      this.#wake = [];
      for (const done of woken) done();
    });
  }

  close(): void {
    this.#socket.client.unwatch(this.#socket.block);
    this.#socket.client.unref();
  }

  /**
   * Sends what `input` gives, one datagram for each piece of it, then waits until answers have stopped coming.
   * @throws NetError
   */
  async send(input: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of input) {
      for (let off = 0; off < chunk.length; ) {
        const length = Math.min(chunk.length - off, INPUT_DATAGRAM_BYTES);
        const ring = this.#socket.sendRing;
        if (ring === null || this.#socket.status === SocketStatus.Closed) break;
        if (!pushDatagram(ring, 0, 0, 0, 0, 0, 0, chunk, off, length)) {
          await this.#event();
          continue;
        }
        this.#socket.client.command(this.#socket.block, Command.Sent);
        off += length;
        this.sentBytes += length;
        this.#lastAt = performance.now();
      }
    }
    for (;;) {
      const leftMs = this.#lastAt + LINGER_MS - performance.now();
      if (leftMs <= 0) return;
      await sleep(leftMs);
    }
  }

  /**
   * Writes the payload of every datagram to `fd`, as long as the socket lives.
   * @throws NetError what the network reports about our datagrams
   * @throws OutputError
   */
  async receive(fd: number): Promise<never> {
    const header = new DatagramHeader();
    for (;;) {
      const { error } = this.#socket.block;
      if (error !== null) {
        this.#socket.block.set(SocketWord.Error, 0);
        throw error;
      }
      const ring = this.#socket.recvRing;
      if (ring === null || !peekDatagram(ring, header)) {
        await this.#event();
        continue;
      }
      const payload = new Uint8Array(header.lengthBytes);
      ring.copyOut(header.position, payload, 0, payload.length);
      shiftDatagram(ring, header);
      this.#lastAt = performance.now();
      await writeAll(fd, payload);
      this.receivedBytes += payload.length;
    }
  }

  #event(): Promise<void> {
    return new Promise((done) => this.#wake.push(done));
  }
}
