import { readFileSync } from 'node:fs';
import { IpAddress } from '../stack/wire/ip-address.ts';

/** The addresses that the kernel answers for. */
export interface KernelAddresses {
  /** @returns the address that equals `text`; null: the kernel does not have it, or it is no address */
  find(text: string): IpAddress | null;
}

/** Reads which addresses the kernel has in the calling thread's network namespace; without a socket. */
export function kernelAddresses(folder = '/proc/thread-self/net'): KernelAddresses {
  const all = [...parseFibTrie(read(`${folder}/fib_trie`)), ...parseIfInet6(read(`${folder}/if_inet6`))];
  return {
    find(text) {
      const wanted = IpAddress.parse(text);
      return wanted === null ? null : (all.find((own) => own.equals(wanted)) ?? null);
    },
  };
}

/** A kernel without the family has no such file. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** The leaves of the routing trie: an address, and in the lines below `/32 host LOCAL` when it is the kernel's. */
export function parseFibTrie(text: string): IpAddress[] {
  const found: IpAddress[] = [];
  let leaf = '';
  for (const line of text.split('\n')) {
    const address = /\|-- (\S+)/.exec(line)?.[1];
    if (address !== undefined) leaf = address;
    else if (/\/32 host LOCAL/.test(line)) push(found, leaf);
  }
  return found;
}

/** One line for each address: 32 hexadecimal digits, then the interface's numbers and name. */
export function parseIfInet6(text: string): IpAddress[] {
  const found: IpAddress[] = [];
  for (const line of text.split('\n')) {
    const digits = /^[0-9a-f]{32}(?= )/.exec(line)?.[0];
    if (digits !== undefined) push(found, digits.match(/.{4}/g)!.join(':'));
  }
  return found;
}

function push(list: IpAddress[], text: string): void {
  const address = IpAddress.parse(text);
  if (address !== null && !list.some((known) => known.equals(address))) list.push(address);
}
