import { readFileSync } from 'node:fs';
import type { EngineOptions } from '../../engine/options.ts';
import { TrustStore } from '../../tls/x509/trust-store.ts';
import type { SubjectOptions } from '../job.ts';

/** The least rings there are, so that many connections fit; nobody writes into them. */
const IDLE_SIZES = {
  maxSockets: 20_000,
  sendBufferBytes: 65_536,
  receiveBufferBytes: 65_536,
  memoryBytes: 1_610_612_736,
};

/** The stack that a subject runs: the defaults, but for jobs that need more connections than these allow. */
export function engineOptions(subject: SubjectOptions): EngineOptions {
  return {
    device: subject.device,
    engines: subject.engines,
    addresses: [`${subject.ownAddress}/24`],
    offload: subject.offload,
    resolver: { servers: [subject.peerAddress], hostsFile: null },
    ...(subject.job.kind === 'idle-memory' ? IDLE_SIZES : {}),
  };
}

export function trustStore(subject: SubjectOptions): TrustStore {
  const store = new TrustStore();
  store.addPem(readFileSync(subject.caFile, 'latin1'));
  return store;
}
