import type { Route } from '../context.ts';
import { sipHash } from '../tcp/siphash.ts';
import { writeAddressWords } from '../wire/ip-address.ts';

const LABEL_BITS = 20;

/**
 * IPv6 flow labels (RFC 6437): one for all packets of a pair of addresses, a protocol and two ports, for routers that spread flows over
 * several ways. The pair is hashed with a secret, once per route; the rest is stirred in per packet, in a few instructions. Nothing is kept
 * for a flow, so that its first packet and an answer after its end have its label too.
 */
export class FlowLabels {
  readonly #key: Int32Array;
  readonly #message: Int32Array = new Int32Array(8);
  readonly #result: Int32Array = new Int32Array(2);

  /** @param key four words; whoever else hashes with it has messages of other lengths */
  constructor(key: Int32Array) {
    this.#key = key;
  }

  /**
   * The label of a flow, 1 … 2^20 - 1 (RFC 6437 §3: never 0, which means that there is none).
   * @param ports both ports as one word; 0 for protocols without
   */
  label(route: Route, protocol: number, ports: number): number {
    if (route.flowKey === 0) route.flowKey = this.#keyOf(route);
    return stir(route.flowKey ^ stir(ports ^ Math.imul(protocol, 0x9e3779b1))) >>> (32 - LABEL_BITS) || 1;
  }

  /** RFC 6437 §3: nobody else can tell what labels a pair of addresses has. Never 0. */
  #keyOf({ source, destination }: Route): number {
    writeAddressWords(this.#message, 0, source);
    writeAddressWords(this.#message, 4, destination);
    sipHash(this.#key, this.#message, this.#result);
    return this.#result[0]! || 1;
  }
}

/** Spreads each bit of a word over all of them (the last steps of MurmurHash3, A. Appleby). */
function stir(word: number): number {
  let x = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
