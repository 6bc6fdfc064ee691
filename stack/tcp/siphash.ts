/**
 * SipHash-2-4 (J.-P. Aumasson, D. J. Bernstein): a short keyed hash. In halves of 32 bits, for a BigInt costs thirty times as much;
 * the state is four such pairs.
 */
const state = new Int32Array(8);

/** v[to] += v[from] */
function add(to: number, from: number): void {
  const low = (state[to]! >>> 0) + (state[from]! >>> 0);
  state[to] = low;
  state[to + 1] = state[to + 1]! + state[from + 1]! + (low > 0xffffffff ? 1 : 0);
}

/** v[at] <<<= bits, which are fewer than 32; then v[at] ^= v[other] */
function rotateXor(at: number, bits: number, other: number): void {
  const low = state[at]!;
  const high = state[at + 1]!;
  state[at] = ((low << bits) | (high >>> (32 - bits))) ^ state[other]!;
  state[at + 1] = ((high << bits) | (low >>> (32 - bits))) ^ state[other + 1]!;
}

/** v[at] <<<= 32 */
function swap(at: number): void {
  const low = state[at]!;
  state[at] = state[at + 1]!;
  state[at + 1] = low;
}

function rounds(count: number): void {
  for (let i = 0; i < count; i++) {
    add(0, 2);
    rotateXor(2, 13, 0);
    swap(0);
    add(4, 6);
    rotateXor(6, 16, 4);
    add(0, 6);
    rotateXor(6, 21, 0);
    add(4, 2);
    rotateXor(2, 17, 4);
    swap(4);
  }
}

function compress(low: number, high: number): void {
  state[6] = state[6]! ^ low;
  state[7] = state[7]! ^ high;
  rounds(2);
  state[0] = state[0]! ^ low;
  state[1] = state[1]! ^ high;
}

/**
 * Hashes whole words.
 * @param key four words, little-endian
 * @param words the message, each word in little-endian order
 * @param into gets the two words of the result, the low one first
 */
export function sipHash(key: Int32Array, words: Int32Array, into: Int32Array): void {
  const [k0, k1, k2, k3] = key as unknown as readonly [number, number, number, number];
  state[0] = k0 ^ 0x70736575;
  state[1] = k1 ^ 0x736f6d65;
  state[2] = k2 ^ 0x6e646f6d;
  state[3] = k3 ^ 0x646f7261;
  state[4] = k0 ^ 0x6e657261;
  state[5] = k1 ^ 0x6c796765;
  state[6] = k2 ^ 0x79746573;
  state[7] = k3 ^ 0x74656462;
  const pairs = words.length >> 1;
  for (let i = 0; i < pairs; i++) compress(words[2 * i]!, words[2 * i + 1]!);
  // The last block: what is left, and the length in bytes
  const lengthByte = ((words.length * 4) & 0xff) << 24;
  compress(words.length % 2 === 1 ? words[words.length - 1]! : 0, lengthByte);
  state[4] = state[4]! ^ 0xff;
  rounds(4);
  into[0] = state[0]! ^ state[2]! ^ state[4]! ^ state[6]!;
  into[1] = state[1]! ^ state[3]! ^ state[5]! ^ state[7]!;
}
