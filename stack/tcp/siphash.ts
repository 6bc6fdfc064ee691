/**
 * SipHash-2-4 (J.-P. Aumasson, D. J. Bernstein): a short keyed hash. In halves of 32 bits, for a BigInt costs thirty times as much;
 * the state v0 … v3 is four such pairs, the low half first. perf: in variables and in one function, where a state in an array takes
 * four times as long.
 *
 * Hashes whole words.
 * @param key four words, little-endian
 * @param words the message, each word in little-endian order
 * @param into gets the two words of the result, the low one first
 */
export function sipHash(key: Int32Array, words: Int32Array, into: Int32Array): void {
  const k0 = key[0]!;
  const k1 = key[1]!;
  const k2 = key[2]!;
  const k3 = key[3]!;
  let v0 = k0 ^ 0x70736575;
  let v0High = k1 ^ 0x736f6d65;
  let v1 = k2 ^ 0x6e646f6d;
  let v1High = k3 ^ 0x646f7261;
  let v2 = k0 ^ 0x6e657261;
  let v2High = k1 ^ 0x6c796765;
  let v3 = k2 ^ 0x79746573;
  let v3High = k3 ^ 0x74656462;
  const count = words.length;
  const whole = count >> 1;
  // The block behind the whole ones: what is left, and the length in bytes. Behind that the finalization, which takes nothing in
  for (let block = 0; block <= whole + 1; block++) {
    let low = 0;
    let high = 0;
    let rounds = 2;
    if (block < whole) {
      low = words[2 * block]!;
      high = words[2 * block + 1]!;
    } else if (block === whole) {
      low = count % 2 === 1 ? words[count - 1]! : 0;
      high = ((count * 4) & 0xff) << 24;
    } else {
      v2 ^= 0xff;
      rounds = 4;
    }
    v3 ^= low;
    v3High ^= high;
    for (; rounds > 0; rounds--) {
      // v0 += v1; v1 <<<= 13; v1 ^= v0; v0 <<<= 32
      let sum = (v0 + v1) | 0;
      v0High = (v0High + v1High + (sum >>> 0 < v0 >>> 0 ? 1 : 0)) | 0;
      v0 = sum;
      let turned = ((v1 << 13) | (v1High >>> 19)) ^ v0;
      v1High = ((v1High << 13) | (v1 >>> 19)) ^ v0High;
      v1 = turned;
      v0 = v0High;
      v0High = sum;
      // v2 += v3; v3 <<<= 16; v3 ^= v2
      sum = (v2 + v3) | 0;
      v2High = (v2High + v3High + (sum >>> 0 < v2 >>> 0 ? 1 : 0)) | 0;
      v2 = sum;
      turned = ((v3 << 16) | (v3High >>> 16)) ^ v2;
      v3High = ((v3High << 16) | (v3 >>> 16)) ^ v2High;
      v3 = turned;
      // v0 += v3; v3 <<<= 21; v3 ^= v0
      sum = (v0 + v3) | 0;
      v0High = (v0High + v3High + (sum >>> 0 < v0 >>> 0 ? 1 : 0)) | 0;
      v0 = sum;
      turned = ((v3 << 21) | (v3High >>> 11)) ^ v0;
      v3High = ((v3High << 21) | (v3 >>> 11)) ^ v0High;
      v3 = turned;
      // v2 += v1; v1 <<<= 17; v1 ^= v2; v2 <<<= 32
      sum = (v2 + v1) | 0;
      v2High = (v2High + v1High + (sum >>> 0 < v2 >>> 0 ? 1 : 0)) | 0;
      v2 = sum;
      turned = ((v1 << 17) | (v1High >>> 15)) ^ v2;
      v1High = ((v1High << 17) | (v1 >>> 15)) ^ v2High;
      v1 = turned;
      v2 = v2High;
      v2High = sum;
    }
    v0 ^= low;
    v0High ^= high;
  }
  into[0] = v0 ^ v1 ^ v2 ^ v3;
  into[1] = v0High ^ v1High ^ v2High ^ v3High;
}
