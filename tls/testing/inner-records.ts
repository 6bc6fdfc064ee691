import { concatBytes } from '@noble/hashes/utils.js';
import type { Slab } from '../../stack/wire/slab.ts';
import type { RecordProtection } from '../record/record-protection.ts';
import { nextSeq, parametersOf, protectionOf, READING, WRITING } from '../traffic/state.ts';
import { ContentType, RECORD_HEADER_BYTES, versionNumber } from '../wire/codes.ts';
import { plainRecord } from './scripted-server.ts';

/** The records of a connection, from the server's side, so that a server for first handshakes can make one inside of it. */
export class InnerRecords {
  readonly #reading: RecordProtection;
  readonly #writing: RecordProtection;
  readonly #version: number;
  #readSeq: number;
  #writeSeq: number;

  /** @param traffic the server's state */
  constructor(traffic: Slab) {
    const parameters = parametersOf(traffic, 0);
    this.#version = versionNumber(parameters.version);
    this.#reading = protectionOf(traffic, 0, parameters, READING);
    this.#writing = protectionOf(traffic, 0, parameters, WRITING);
    this.#readSeq = nextSeq(traffic, 0, READING);
    this.#writeSeq = nextSeq(traffic, 0, WRITING);
  }

  /** One record. */
  seal(type: number, content: Uint8Array): Uint8Array {
    const record = new Uint8Array(content.length + this.#writing.overheadBytes);
    return record.slice(
      0,
      this.#writing.seal(0, this.#writeSeq++, type, content, 0, content.length, record, 0),
    );
  }

  /** The records of a server's flight as they go inside of the connection; those after its change_cipher_spec stay as they are. */
  wrap(flight: Uint8Array): Uint8Array {
    return this.#map(flight, (record) => this.seal(record[0]!, record.subarray(RECORD_HEADER_BYTES)));
  }

  /** The records of a client's flight without the connection's protection; those after its change_cipher_spec stay as they are. */
  unwrap(flight: Uint8Array): Uint8Array {
    return this.#map(flight, (record) => {
      this.#reading.open(0, this.#readSeq++, record, 0, record.length);
      const content = this.#reading.opened.slice(0, this.#reading.openedBytes);
      return plainRecord(this.#reading.openedType as ContentType, content, this.#version);
    });
  }

  #map(flight: Uint8Array, change: (record: Uint8Array) => Uint8Array): Uint8Array {
    const parts: Uint8Array[] = [];
    let isChanged = false;
    for (let off = 0; off < flight.length; ) {
      const end = off + RECORD_HEADER_BYTES + ((flight[off + 3]! << 8) | flight[off + 4]!);
      const record = flight.slice(off, end);
      parts.push(isChanged ? record : change(record));
      if (record[0] === ContentType.ChangeCipherSpec) isChanged = true;
      off = end;
    }
    return concatBytes(...parts);
  }
}
