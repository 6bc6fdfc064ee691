import type { EthernetWire, Station } from '../testing/ethernet-wire.ts';
import type { DatagramReceiver, UdpSocket } from '../udp/udp-socket.ts';
import { IpAddress } from '../wire/ip-address.ts';

/** A request as the server in tests sees it. */
export interface SeenRequest {
  readonly atMs: number;
  readonly type: number;
  readonly from: string;
  readonly clientAddress: string;
  /** The flags field. */
  readonly flags: number;
  readonly transactionId: number;
  readonly hardware: Uint8Array;
  /** By number, in hexadecimal digits. */
  readonly options: ReadonlyMap<number, string>;
  readonly bytes: Uint8Array;
}

/** What the server answers. */
export interface Answer {
  readonly type: number;
  readonly address?: string;
  /** Each a number and its bytes. */
  readonly options?: readonly (readonly [number, readonly number[]])[];
  readonly transactionId?: number;
  readonly hardware?: Uint8Array;
}

/** The four bytes of an IPv4 address. */
export function bytesOf(address: string): number[] {
  return address.split('.').map(Number);
}

/** The four bytes of a number. */
export function word(value: number): number[] {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255);
}

/** A reply as RFC 2131 §2 draws it, made without the code under test. */
export function replyBytes(
  request: Pick<SeenRequest, 'transactionId' | 'hardware'>,
  answer: Answer,
): Uint8Array {
  const { type, address = '0.0.0.0', options = [] } = answer;
  const tail = [99, 130, 83, 99, 53, 1, type];
  for (const [number, value] of options) tail.push(number, value.length, ...value);
  tail.push(255);
  const bytes = new Uint8Array(236 + tail.length);
  bytes.set([2, 1, 6, 0, ...word(answer.transactionId ?? request.transactionId)]);
  bytes.set(bytesOf(address), 16);
  bytes.set(answer.hardware ?? request.hardware, 28);
  bytes.set(tail, 236);
  return bytes;
}

/**
 * A DHCP server that does what a test says, on a station of a wire. It reads frames itself, as its stack takes nothing from 0.0.0.0.
 */
export class TestServer implements DatagramReceiver {
  readonly seen: SeenRequest[] = [];
  /** null: says nothing. */
  answer: (request: SeenRequest) => Answer | null = () => null;
  readonly #socket: UdpSocket;
  readonly #wire: EthernetWire;

  constructor(wire: EthernetWire, station: Station) {
    this.#wire = wire;
    wire.filter = (frame, from): boolean => {
      if (from !== station && isForServer(frame)) this.#take(frame);
      return true;
    };
    this.#socket = station.stack.udp.open({
      local: null,
      localPort: 67,
      remote: null,
      remotePort: 0,
      broadcast: true,
      receiver: this,
    });
  }

  datagram(): void {}

  #take(frame: Uint8Array): void {
    const from = IpAddress.read(new DataView(frame.buffer), 26, 4);
    const bytes = frame.slice(42);
    const view = new DataView(bytes.buffer);
    const options = new Map<number, string>();
    for (let at = 240; bytes[at] !== 255; at += 2 + bytes[at + 1]!)
      options.set(bytes[at]!, Buffer.from(bytes.subarray(at + 2, at + 2 + bytes[at + 1]!)).toString('hex'));
    const request: SeenRequest = {
      atMs: this.#wire.nowMs,
      type: Number.parseInt(options.get(53) ?? '0', 16),
      from: from.toString(),
      clientAddress: IpAddress.read(view, 12, 4).toString(),
      flags: view.getUint16(10),
      transactionId: view.getUint32(4),
      hardware: bytes.slice(28, 34),
      options,
      bytes,
    };
    this.seen.push(request);
    const answer = this.answer(request);
    if (answer === null) return;
    // RFC 2131 §4.1: to who has an address at that address, to all where the flag asks for it
    const to = request.clientAddress === '0.0.0.0' ? '255.255.255.255' : request.clientAddress;
    this.send(replyBytes(request, answer), to);
  }

  send(bytes: Uint8Array, to = '255.255.255.255'): void {
    this.#socket.sendTo(bytes, 0, bytes.length, IpAddress.parse(to), 68);
  }
}

/** IPv4 without options, UDP, port 67. */
function isForServer(frame: Uint8Array): boolean {
  return frame[12] === 8 && frame[13] === 0 && frame[14] === 0x45 && frame[23] === 17 && frame[37] === 67;
}
