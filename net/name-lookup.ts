import type { LookupAddress } from 'node:dns';
import { type BlockList, isIP, type LookupFunction } from 'node:net';
import type { EngineClient } from '../engine/client.ts';
import { SharedSocket } from '../engine/shared-socket.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { answerOf } from './answer.ts';

/** Addresses that fit into a request to the engine. */
const MAX_ADDRESSES = 6;

export interface NameLookup {
  readonly host: string;
  readonly family: 0 | 4 | 6;
  /** As the option of `net.connect`; missing: the stack's own. */
  readonly lookup?: LookupFunction | undefined;
  readonly blockList?: BlockList | undefined;
}

/**
 * Finds a name's addresses before the engine is asked to connect: with a function of the application, or to leave some out.
 * @returns at least one, six at most
 * @throws what the function gives as its error; NetError ACCESS_DENIED when all are blocked, ARGUMENT_INVALID for what is no address
 */
export async function findAddresses(client: EngineClient, wanted: NameLookup): Promise<string[]> {
  const { host, lookup } = wanted;
  const literal = isIP(host) !== 0;
  const found = literal
    ? [host]
    : await (lookup === undefined ? ownLookup(client, wanted) : foreignLookup(lookup, wanted));
  const allowed = found.filter((address) => !isBlocked(wanted.blockList, address));
  if (allowed.length > 0) return allowed.slice(0, MAX_ADDRESSES);
  if (found.length === 0) throw new NetError('HOST_NO_ADDRESS', { phase: Phase.Resolve, detail: host });
  throw new NetError('ACCESS_DENIED', {
    phase: Phase.Connect,
    detail: `${found.join(', ')} ${found.length > 1 ? 'are' : 'is'} in the block list`,
    address: found[0]!,
  });
}

function isBlocked(blockList: BlockList | undefined, address: string): boolean {
  return blockList?.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4') === true;
}

function ownLookup(client: EngineClient, { host, family }: NameLookup): Promise<string[]> {
  const start = (): SharedSocket => SharedSocket.lookup(client, host, family);
  return answerOf(client, start, undefined, (shared) => shared.addresses.map(String));
}

function foreignLookup(lookup: LookupFunction, { host, family }: NameLookup): Promise<string[]> {
  return new Promise((resolve, reject) => {
    lookup(host, { family, hints: 0, all: true }, (error, answer: string | LookupAddress[]) => {
      if (error) {
        reject(error);
        return;
      }
      // those that know no `all` give one address
      const addresses = Array.isArray(answer) ? answer.map(({ address }) => address) : [answer];
      const odd = addresses.find((address) => isIP(address) === 0);
      if (odd === undefined) resolve(addresses);
      else {
        const detail = `the option lookup gave ${JSON.stringify(odd)} for ${host}, which is no IP address`;
        reject(new NetError('ARGUMENT_INVALID', { phase: Phase.Resolve, detail }));
      }
    });
  });
}
