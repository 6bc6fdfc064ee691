import { NetError, Phase } from './errors.ts';
import type { RandomSource } from './random.ts';

/** Which local ports a stack takes by itself. */
export interface PortSettings {
  /**
   * First and last of those that connections, listeners and datagram sockets get which ask for none. RFC 6056 §3.2 wants a large range.
   * Default: 32,768 … 65,535, for UDP from 49,152 on.
   */
  readonly ephemeral?: readonly [first: number, last: number] | undefined;
  /**
   * First and last of those that nobody gets who does not ask: by their number, or as `localPort: 'reserved'`, which takes the highest
   * that is unused. Default: 1 … 1023.
   */
  readonly reserved?: readonly [first: number, last: number] | undefined;
}

/** Ports from one to another. */
export class PortRange {
  readonly first: number;
  readonly last: number;

  constructor(first: number, last: number) {
    this.first = first;
    this.last = last;
  }

  get count(): number {
    return this.last - this.first + 1;
  }

  has(port: number): boolean {
    return port >= this.first && port <= this.last;
  }

  /** @param index counted on from the first one, and round. */
  at(index: number): number {
    return this.first + (index % this.count);
  }

  toString(): string {
    return `${this.first} … ${this.last}`;
  }
}

/** The local ports of a stack that it chooses by itself. */
export class LocalPorts {
  /** RFC 6056 §3.2 wants a large range; registered ports below 32,768 stay out of it, as on Linux. */
  tcp: PortRange = new PortRange(32_768, 65_535);
  /** RFC 6335 §6: the dynamic ports. */
  udp: PortRange = new PortRange(49_152, 65_535);
  /** Never ephemeral. */
  reserved: PortRange = new PortRange(1, 1023);

  /** @throws NetError ARGUMENT_INVALID */
  use({ ephemeral, reserved }: PortSettings): void {
    if (reserved !== undefined) this.reserved = rangeOf('reserved', reserved);
    if (ephemeral !== undefined) this.tcp = this.udp = rangeOf('ephemeral', ephemeral);
    for (const range of [this.tcp, this.udp]) {
      if (this.reserved.has(range.first) && this.reserved.has(range.last))
        throw invalid(`ports.reserved, ${this.reserved}, leaves none of the ephemeral ports ${range}`);
    }
  }

  isReserved(port: number): boolean {
    return this.reserved.has(port);
  }

  /** An ephemeral port that is nobody's to keep: for probes. */
  random(random: RandomSource): number {
    const start = random.uint32();
    for (let i = 0; ; i++) {
      const port = this.udp.at(start + i);
      if (!this.isReserved(port)) return port;
    }
  }
}

function rangeOf(name: string, [first, last]: readonly [number, number]): PortRange {
  if (isPort(first) && isPort(last) && first <= last) return new PortRange(first, last);
  throw invalid(`ports.${name} is [first, last] of 1 … 65535, got [${first}, ${last}]`);
}

function isPort(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65_535;
}

function invalid(detail: string): NetError {
  return new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
}
