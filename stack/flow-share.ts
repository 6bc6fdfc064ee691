/** Ports from here on belong to one engine each for UDP; below, all belong to the first. */
export const FIRST_SHARED_UDP_PORT = 49_152;

/**
 * Which part of all flows is a stack's own when several stacks have the same addresses, one per queue of a device. The ports
 * alone decide, so that everybody comes to the same answer without asking.
 */
export class FlowShare {
  /** 0 …: which of the stacks. */
  readonly index: number;
  readonly count: number;

  constructor(index: number, count: number) {
    this.index = index;
    this.count = count;
  }

  /** Whose a TCP connection is. */
  tcpOwner(localPort: number, remotePort: number): number {
    // Fibonacci hashing: peers count their ports up, often by two
    return ((Math.imul((localPort << 16) | remotePort, 0x9e3779b1) >>> 16) * this.count) >>> 16;
  }

  ownsTcp(localPort: number, remotePort: number): boolean {
    return this.tcpOwner(localPort, remotePort) === this.index;
  }

  /** Whose a UDP socket is. */
  udpOwner(localPort: number): number {
    return localPort < FIRST_SHARED_UDP_PORT ? 0 : localPort % this.count;
  }

  ownsUdp(localPort: number): boolean {
    return this.udpOwner(localPort) === this.index;
  }
}
