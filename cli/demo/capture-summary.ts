import { readFileSync } from 'node:fs';

/** pcapng block types (draft-ietf-opsawg-pcapng §4). */
const SECTION_HEADER = 0x0a0d0d0a;
const ENHANCED_PACKET = 6;
const DECRYPTION_SECRETS = 10;
/** "TLSK": an NSS key log */
const TLS_KEY_LOG = 0x544c534b;

/** What is in a capture file. */
export interface CaptureSummary {
  readonly packets: number;
  /** Connections whose application data can be read: each has both traffic secrets. */
  readonly decryptable: number;
}

/** Reads a capture of one section, in the byte order of this machine. @throws Error when it is damaged */
export function summarize(path: string): CaptureSummary {
  const file = readFileSync(path);
  if (file.length < 12 || file.readUInt32LE(0) !== SECTION_HEADER)
    throw new Error(`${path} is no pcapng file`);
  let packets = 0;
  const clients = new Set<string>();
  const servers = new Set<string>();
  for (let at = 0; at < file.length; ) {
    const type = file.readUInt32LE(at);
    const lengthBytes = file.readUInt32LE(at + 4);
    if (
      lengthBytes < 12 ||
      at + lengthBytes > file.length ||
      file.readUInt32LE(at + lengthBytes - 4) !== lengthBytes
    ) {
      throw new Error(`${path}: the block at byte ${at} is damaged`);
    }
    if (type === ENHANCED_PACKET) packets++;
    if (type === DECRYPTION_SECRETS && file.readUInt32LE(at + 8) === TLS_KEY_LOG) {
      const secretsBytes = file.readUInt32LE(at + 12);
      for (const row of file.toString('latin1', at + 16, at + 16 + secretsBytes).split('\n')) {
        const [label, clientRandom = ''] = row.split(' ');
        if (label === 'CLIENT_TRAFFIC_SECRET_0') clients.add(clientRandom);
        if (label === 'SERVER_TRAFFIC_SECRET_0') servers.add(clientRandom);
      }
    }
    at += lengthBytes;
  }
  return { packets, decryptable: [...clients].filter((clientRandom) => servers.has(clientRandom)).length };
}
