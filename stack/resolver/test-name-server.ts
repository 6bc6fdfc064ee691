import dnsPacket, { type Answer, type DecodedPacket, type Packet, type PacketOpt } from 'dns-packet';
import { type Endpoint, EndpointEvent, type EndpointObserver } from '../endpoint.ts';
import type { Stack } from '../stack.ts';
import type { TcpConnection } from '../tcp/connection.ts';
import type { TcpListener } from '../tcp/listener.ts';
import { TimerEntry, type TimerTarget } from '../timers.ts';
import type { DatagramReceiver, UdpSocket } from '../udp/udp-socket.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { Slab } from '../wire/slab.ts';
import { COOKIE_OPTION } from './cookie.ts';

/** A query as the test server got it. */
export interface SeenQuery {
  /** In the letter case in which it came. */
  readonly name: string;
  readonly type: string;
  readonly id: number;
  readonly edns: boolean;
  /** The cookie option's bytes in hexadecimal; null: none. */
  readonly cookie: string | null;
  readonly tcp: boolean;
  readonly from: IpAddress;
  readonly fromPort: number;
  readonly at: number;
}

/** One message the test server sends. */
export interface TestReply extends Packet {
  /** Ored into the flags: TC is 0x0200, the RCODE is in the lowest bits. */
  readonly flagBits?: number;
  readonly delayMs?: number;
  /** Sent from this port instead of the server's own. */
  readonly fromPort?: number;
  /** Changes the finished message. */
  readonly mangle?: (bytes: Uint8Array) => Uint8Array;
}

/** What the test server makes of a query: any number of messages, or silence. */
export type Behaviour = (query: SeenQuery) => readonly TestReply[];

/** For tests: a name server on a stack of its own that does as it is told, also what no server should. */
export class TestNameServer implements DatagramReceiver, EndpointObserver {
  readonly queries: SeenQuery[] = [];
  behaviour: Behaviour;
  readonly #stack: Stack;
  readonly #socket: UdpSocket;
  readonly #others = new Map<number, UdpSocket>();
  #listener: TcpListener | null = null;

  constructor(stack: Stack, behaviour: Behaviour, port = 53) {
    this.#stack = stack;
    this.behaviour = behaviour;
    this.#socket = this.#open(port);
  }

  /** Stops answering over UDP: queries bring ICMP errors. */
  close(): void {
    this.#socket.close();
  }

  /** Answers over TCP too. */
  listen(port = 53): void {
    this.#listener = this.#stack.tcp.listen({ local: null, port, backlog: 8 });
    this.#listener.observer = this;
  }

  datagram(
    _socket: UdpSocket,
    slab: Slab,
    off: number,
    len: number,
    from: IpAddress,
    fromPort: number,
  ): void {
    const message = dnsPacket.decode(Buffer.from(slab.bytes.slice(off, off + len)));
    for (const { reply, bytes } of this.#replies(message, false, from, fromPort)) {
      const socket = reply.fromPort === undefined ? this.#socket : this.#other(reply.fromPort);
      const send = (): void => socket.sendTo(bytes, 0, bytes.length, from, fromPort);
      if (reply.delayMs === undefined) send();
      else new Later(this.#stack, reply.delayMs, send);
    }
  }

  endpointEvents(endpoint: Endpoint, events: number): void {
    if (endpoint === this.#listener) {
      for (let c = this.#listener.accept(); c !== null; c = this.#listener.accept()) {
        c.observer = this;
        c.setNoDelay(true);
      }
      return;
    }
    const connection = endpoint as TcpConnection;
    if ((events & EndpointEvent.Readable) !== 0) this.#serve(connection);
    if ((events & EndpointEvent.PeerFinished) !== 0) connection.close();
  }

  /** Queries are small: one read has one whole, or several. */
  #serve(connection: TcpConnection): void {
    const ring = connection.recvRing;
    if (ring === null || ring.usedBytes < 2) return;
    const bytes = Buffer.alloc(ring.usedBytes);
    ring.read(bytes, 0, bytes.length);
    connection.appRead();
    for (let at = 0; at + 2 <= bytes.length; at += 2 + bytes.readUInt16BE(at)) {
      this.#answerOverTcp(connection, bytes.subarray(at + 2, at + 2 + bytes.readUInt16BE(at)));
    }
  }

  /** Each answer comes in two pieces. */
  #answerOverTcp(connection: TcpConnection, query: Buffer): void {
    for (const { reply, bytes } of this.#replies(
      dnsPacket.decode(query),
      true,
      connection.remote,
      connection.remotePort,
    )) {
      const framed = Buffer.alloc(2 + bytes.length);
      framed.writeUInt16BE(bytes.length, 0);
      framed.set(bytes, 2);
      const half = framed.length >> 1;
      new Later(this.#stack, reply.delayMs ?? 0, () => {
        connection.sendRing?.write(framed, 0, half);
        connection.appWrote();
        connection.sendRing?.write(framed, half, framed.length - half);
        connection.appWrote();
      });
    }
  }

  #replies(
    message: DecodedPacket,
    tcp: boolean,
    from: IpAddress,
    fromPort: number,
  ): { reply: TestReply; bytes: Uint8Array }[] {
    const question = message.questions?.[0];
    const seen: SeenQuery = {
      name: question?.name ?? '',
      type: question?.type ?? '',
      id: message.id ?? 0,
      edns: (message.additionals ?? []).some((each) => each.type === 'OPT'),
      cookie: cookieOf(message),
      tcp,
      from,
      fromPort,
      at: this.#stack.now,
    };
    this.queries.push(seen);
    return this.behaviour(seen).map((reply) => {
      const { flagBits, delayMs, fromPort: _other, mangle, ...parts } = reply;
      const bytes = dnsPacket.encode({
        type: 'response',
        id: seen.id,
        questions: message.questions ?? [],
        ...parts,
      });
      bytes.writeUInt16BE(bytes.readUInt16BE(2) | (flagBits ?? 0), 2);
      return { reply, bytes: mangle === undefined ? bytes : mangle(bytes) };
    });
  }

  #open(port: number): UdpSocket {
    return this.#stack.udp.open({
      local: null,
      localPort: port,
      remote: null,
      remotePort: 0,
      broadcast: false,
      receiver: this,
    });
  }

  #other(port: number): UdpSocket {
    let socket = this.#others.get(port);
    if (socket === undefined) {
      socket = this.#open(port);
      this.#others.set(port, socket);
    }
    return socket;
  }
}

/** An OPT record with a cookie option, as the server's part of an answer. */
export function cookieRecord(cookie: string, extendedRcode = 0): Answer {
  const options: object[] = [{ code: COOKIE_OPTION, data: Buffer.from(cookie, 'hex') }];
  return {
    type: 'OPT',
    name: '.',
    udpPayloadSize: 1232,
    extendedRcode,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: options as PacketOpt[],
  };
}

function cookieOf(message: DecodedPacket): string | null {
  for (const record of message.additionals ?? []) {
    if (record.type !== 'OPT') continue;
    for (const option of record.options as readonly { code: number; data?: Buffer }[]) {
      if (option.code === COOKIE_OPTION) return option.data?.toString('hex') ?? null;
    }
  }
  return null;
}

/** A name with its records: addresses of both families by their form, anything else is a CNAME's target. */
export type Zone = Readonly<Record<string, readonly string[]>>;

/** Answers from a table: NXDOMAIN and NODATA with a SOA of `negativeTtl` seconds, CNAMEs with all that follows. */
export function zone(records: Zone, ttl = 300, negativeTtl = 60): Behaviour {
  return (query) => {
    const answers: Answer[] = [];
    let exists = false;
    let name: string | null = query.name.toLowerCase();
    const seen = new Set<string>();
    while (name !== null && !seen.has(name)) {
      seen.add(name);
      const values: readonly string[] | undefined = records[name];
      exists = values !== undefined;
      let next: string | null = null;
      for (const value of values ?? []) {
        const type = value.includes(':') ? 'AAAA' : /^[\d.]+$/.test(value) ? 'A' : 'CNAME';
        if (type === 'CNAME') next = value;
        if (type === 'CNAME' || type === query.type) answers.push({ type, name, data: value, ttl });
      }
      name = next;
    }
    if (answers.some((answer) => answer.type === query.type)) return [{ answers }];
    const soa: Answer = {
      type: 'SOA',
      name: '.',
      ttl: negativeTtl,
      data: { mname: 'ns.test', rname: 'admin.test', minimum: negativeTtl },
    };
    return [{ answers, authorities: [soa], flagBits: exists ? 0 : 3 }];
  };
}

class Later implements TimerTarget {
  readonly #run: () => void;

  constructor(stack: Stack, delayMs: number, run: () => void) {
    this.#run = run;
    stack.timers.set(new TimerEntry(this), stack.now + delayMs);
  }

  onDeadline(): void {
    this.#run();
  }
}
