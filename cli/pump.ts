import { type Channel, WOULD_BLOCK } from '../engine/channel.ts';
import type { SharedSocket } from '../engine/shared-socket.ts';
import { SocketStatus } from '../engine/socket-block.ts';
import { writeAll } from './standard-io.ts';

/** One read: as much as the thread pool writes in one call without holding the ring back for long. */
const READ_BYTES: number = 256 * 1024;

/** Who waits for the connection; woken by every event. */
class Waiting {
  #wake: (() => void)[] = [];

  next(): Promise<void> {
    return new Promise((done) => this.#wake.push(done));
  }

  wakeAll(): void {
    const woken = this.#wake;
    this.#wake = [];
    for (const done of woken) done();
  }
}

/** Moves bytes between a connection and two file descriptors, both ways at once. Nothing is buffered beyond the rings. */
export class Pump {
  sentBytes = 0;
  receivedBytes = 0;
  /** The peer has ended its direction. */
  peerEnded = false;
  readonly #socket: SharedSocket;
  readonly #channel: Channel;
  readonly #waiting: Waiting = new Waiting();

  /** From here on events are handled by the calling thread's event loop, which they keep alive until `close`. */
  constructor(channel: Channel) {
    this.#channel = channel;
    this.#socket = channel.socket;
    this.#socket.client.ref();
    this.#socket.watch(() => this.#waiting.wakeAll());
  }

  close(): void {
    this.#socket.client.unwatch(this.#socket.block);
    this.#socket.client.unref();
  }

  /**
   * Sends everything from `input`, ends the own direction, and waits until the peer has acknowledged it all.
   * @param shutdown false: the own direction is left open
   * @throws NetError why not all arrived
   */
  async send(input: AsyncIterable<Uint8Array>, shutdown: boolean): Promise<void> {
    for await (const chunk of input) {
      for (let off = 0; off < chunk.length; ) {
        const taken = this.#channel.write(chunk, off, chunk.length - off);
        if (taken === WOULD_BLOCK) await this.#waiting.next();
        else {
          off += taken;
          this.sentBytes += taken;
        }
      }
    }
    await this.#finish(shutdown);
  }

  /**
   * Writes everything that comes to `fd`, until the peer ends its direction.
   * @throws NetError why the stream ended out of order
   * @throws OutputError
   */
  async receive(fd: number): Promise<void> {
    const buffer = new Uint8Array(READ_BYTES);
    for (;;) {
      const taken = this.#channel.read(buffer, 0, buffer.length);
      if (taken === 0) break;
      if (taken === WOULD_BLOCK) await this.#waiting.next();
      else {
        await writeAll(fd, buffer.subarray(0, taken));
        this.receivedBytes += taken;
      }
    }
    this.peerEnded = true;
  }

  async #finish(shutdown: boolean): Promise<void> {
    const dataEnd = this.#socket.writtenTo;
    if (shutdown) {
      while (this.#socket.status === SocketStatus.Open && !this.#channel.shutdown())
        await this.#waiting.next();
    }
    // close_notify itself need not arrive: a peer that has closed completely answers it with a reset
    while (((this.#socket.acknowledgedTo - dataEnd) | 0) < 0) {
      if (this.#socket.status === SocketStatus.Closed) {
        this.#socket.throwIfFailed();
        return;
      }
      await this.#waiting.next();
    }
  }
}
