import type { RandomSource } from '../random.ts';

/** RFC 7873 §4: the client's part has 8 bytes, the server's 8 … 32. */
export const CLIENT_COOKIE_BYTES = 8;
const MIN_SERVER_BYTES = 8;
const MAX_SERVER_BYTES = 32;

/** RFC 7873 §8 */
export const COOKIE_OPTION = 10;
/** RFC 7873 §8: the server wants the cookie that comes with this answer. */
export const RCODE_BADCOOKIE = 23;

/** What an answer's cookie means. */
export const CookieCheck = {
  /** As it should be, or nothing to compare. */
  Good: 0,
  /** Not the one that was sent, or malformed: the answer is not from the server (RFC 7873 §5.3). */
  Wrong: 1,
  /** None, from a server that has given one before. */
  Missing: 2,
} as const;
export type CookieCheck = (typeof CookieCheck)[keyof typeof CookieCheck];

/**
 * The cookies between the resolver and one name server (RFC 7873): who cannot see the questions cannot forge an answer. The client's
 * part is random and not the same at any two servers (§4.1).
 */
export class DnsCookie {
  readonly #client = new Uint8Array(CLIENT_COOKIE_BYTES);
  #isMade = false;
  #server: Uint8Array = new Uint8Array(0);

  /** What goes into the option: the client's part, and the server's once it is known. */
  value(random: RandomSource): Uint8Array {
    if (!this.#isMade) {
      random.fill(this.#client);
      this.#isMade = true;
    }
    const value = new Uint8Array(CLIENT_COOKIE_BYTES + this.#server.length);
    value.set(this.#client);
    value.set(this.#server, CLIENT_COOKIE_BYTES);
    return value;
  }

  /** Judges the cookie of an answer, and takes the server's part over. @param option null: the answer has none */
  check(option: Uint8Array | null): CookieCheck {
    if (option === null) return this.#server.length > 0 ? CookieCheck.Missing : CookieCheck.Good;
    const serverBytes = option.length - CLIENT_COOKIE_BYTES;
    for (let i = 0; i < CLIENT_COOKIE_BYTES; i++) {
      if (option[i] !== this.#client[i]) return CookieCheck.Wrong;
    }
    // A server that echoes the client's part alone has none of its own to give
    if (serverBytes === 0) return CookieCheck.Good;
    if (serverBytes < MIN_SERVER_BYTES || serverBytes > MAX_SERVER_BYTES) return CookieCheck.Wrong;
    this.#server = option.slice(CLIENT_COOKIE_BYTES);
    return CookieCheck.Good;
  }

  /** The server has forgotten: the next answers need no cookie. */
  forget(): void {
    this.#server = new Uint8Array(0);
  }
}
