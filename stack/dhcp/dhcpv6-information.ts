import type { StackContext } from '../context.ts';
import { NetError } from '../errors.ts';
import type { EthernetLink } from '../ip/ethernet-link.ts';
import { TimerEntry, type TimerTarget } from '../timers.ts';
import type { UdpLayer } from '../udp/udp-layer.ts';
import type { DatagramReceiver, UdpSocket } from '../udp/udp-socket.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { Slab } from '../wire/slab.ts';
import {
  ALL_DHCPV6_SERVERS,
  DHCPV6_CLIENT_PORT,
  DHCPV6_SERVER_PORT,
  INFORMATION_REQUEST_BYTES,
  parseInformationReply,
  writeInformationRequest,
} from './dhcpv6-message.ts';

/** RFC 8415 §7.6 */
export const INF_MAX_DELAY_MS = 1000;
export const INF_TIMEOUT_MS = 1000;
export const INF_MAX_RT_MS = 3_600_000;
export const IRT_DEFAULT_MS = 86_400_000;
export const IRT_MINIMUM_MS = 600_000;
/** What is taken of each kind from one reply; more is left out. */
export const MAX_INFORMATION = 8;

/** What clients have asked and heard. */
export class DhcpV6Counters {
  sent = 0;
  /** The device was full, or the interface has no address yet. */
  sendFailed = 0;
  received = 0;
  /** Not an answer to our question. */
  dropInvalid = 0;
}

/** Learns what a server says; called while packets are received. */
export interface DhcpV6Owner {
  informed(nameServers: readonly IpAddress[], domains: readonly string[]): void;
}

/** Stateless DHCPv6 (RFC 8415 §18.2.6): asks for name servers and domains, and again when the answer is too old. */
export class DhcpV6InformationClient implements TimerTarget, DatagramReceiver {
  readonly counters: DhcpV6Counters;
  readonly #context: StackContext;
  readonly #link: EthernetLink;
  readonly #owner: DhcpV6Owner;
  readonly #socket: UdpSocket;
  readonly #timer: TimerEntry = new TimerEntry(this);
  readonly #message: DataView = new DataView(new ArrayBuffer(INFORMATION_REQUEST_BYTES));
  #transactionId = 0;
  #waits = false;
  #beganAt = 0;
  #timeoutMs = 0;

  /** @throws NetError ADDRESS_IN_USE when UDP port 546 is taken */
  constructor(
    context: StackContext,
    udp: UdpLayer,
    counters: DhcpV6Counters,
    link: EthernetLink,
    owner: DhcpV6Owner,
  ) {
    this.#context = context;
    this.counters = counters;
    this.#link = link;
    this.#owner = owner;
    this.#socket = udp.open({
      local: null,
      localPort: DHCPV6_CLIENT_PORT,
      remote: null,
      remotePort: 0,
      broadcast: false,
      receiver: this,
    });
    // RFC 8415 §18.2.6: machines that get power at the same time keep apart
    context.timers.set(this.#timer, context.now + this.#random() * INF_MAX_DELAY_MS);
  }

  close(): void {
    this.#context.timers.remove(this.#timer);
    this.#socket.close();
  }

  /** TimerTarget */
  onDeadline(now: number): void {
    if (!this.#waits) {
      this.#waits = true;
      this.#beganAt = now;
      this.#timeoutMs = 0;
      this.#transactionId = this.#context.random.uint32() >>> 8;
    }
    // RFC 8415 §15
    const jitter = 0.2 * this.#random() - 0.1;
    const next = this.#timeoutMs === 0 ? INF_TIMEOUT_MS : 2 * this.#timeoutMs;
    this.#timeoutMs = Math.min(next, INF_MAX_RT_MS) * (1 + jitter);
    this.#context.timers.set(this.#timer, now + this.#timeoutMs);
    this.#send(now - this.#beganAt);
  }

  /** DatagramReceiver */
  datagram(_socket: UdpSocket, slab: Slab, off: number, lengthBytes: number): void {
    const { high, low } = this.#link;
    const reply = this.#waits
      ? parseInformationReply(slab.view, off, lengthBytes, this.#transactionId, high, low)
      : null;
    if (reply === null) {
      this.counters.dropInvalid++;
      return;
    }
    this.counters.received++;
    this.#waits = false;
    // RFC 8415 §21.23
    const { refreshMs } = reply;
    const waitMs = refreshMs < 0 ? IRT_DEFAULT_MS : Math.max(refreshMs, IRT_MINIMUM_MS);
    this.#context.timers.set(this.#timer, this.#context.now + waitMs);
    this.#owner.informed(
      reply.nameServers.slice(0, MAX_INFORMATION),
      reply.domains.slice(0, MAX_INFORMATION),
    );
  }

  #send(elapsedMs: number): void {
    const { high, low } = this.#link;
    writeInformationRequest(this.#message, this.#transactionId, high, low, elapsedMs);
    const bytes = new Uint8Array(this.#message.buffer);
    try {
      this.#socket.sendTo(bytes, 0, bytes.length, ALL_DHCPV6_SERVERS, DHCPV6_SERVER_PORT);
      this.counters.sent++;
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      this.counters.sendFailed++;
    }
  }

  #random(): number {
    return this.#context.random.uint32() / 2 ** 32;
  }
}
