/** Size of the state of RC4: the permutation and two indexes. */
export const RC4_STATE_BYTES = 258;

const I = 256;
const J = 257;

/**
 * The key schedule of RC4 (RFC 6229 has its vectors).
 *
 * @param state takes RC4_STATE_BYTES bytes; may be shared memory
 */
export function startRc4(state: Uint8Array, key: Uint8Array): void {
  for (let i = 0; i < 256; i++) state[i] = i;
  for (let i = 0, j = 0; i < 256; i++) {
    const s = state[i]!;
    j = (j + s + key[i % key.length]!) & 0xff;
    state[i] = state[j]!;
    state[j] = s;
  }
  state[I] = 0;
  state[J] = 0;
}

/** Encrypts or decrypts `lengthBytes` bytes in place and moves the state on. */
export function applyRc4(state: Uint8Array, data: Uint8Array, off: number, lengthBytes: number): void {
  let i = state[I]!;
  let j = state[J]!;
  for (let at = off; at < off + lengthBytes; at++) {
    i = (i + 1) & 0xff;
    const a = state[i]!;
    j = (j + a) & 0xff;
    const b = state[j]!;
    state[i] = b;
    state[j] = a;
    data[at] = data[at]! ^ state[(a + b) & 0xff]!;
  }
  state[I] = i;
  state[J] = j;
}
