import { hostname } from 'node:os';
import { domainToASCII, domainToUnicode } from 'node:url';
import { SharedSocket } from '../engine/shared-socket.ts';
import { SocketStatus } from '../engine/socket-block.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { type HostArgument, parseHost } from '../stack/resolver/host-name.ts';
import {
  INET_ADDRESS_IPV4,
  INET_ADDRESS_IPV6,
  INET_ADDRESS_UNKNOWN,
  INET_ERROR,
  INET_PROTOCOL_TCP,
  INET_PROTOCOL_UDP,
} from './constants.ts';
import { failed } from './error-codes.ts';
import type { OutValue } from './out.ts';
import { currentSession } from './session.ts';
import type { INTERNET_ADDRESS } from './state.ts';
import { sleepSend } from './wait.ts';

/**
 * Looks a host name up, in the hosts file and then by DNS, and blocks until that is done. IP literals are taken as they are.
 *
 * @param hostName a host name or an IP address; names outside ASCII are converted
 * @param family INET_ADDRESS_IPV4, INET_ADDRESS_IPV6; INET_ADDRESS_UNKNOWN: either, IPv4 preferred; INET_ADDRESS_DEFAULT: IPv4
 * @param address is filled
 * @returns 0; INET_ERROR on failure: HOST_INVALID, HOST_NOT_FOUND (0x80042AF9), HOST_NO_ADDRESS (0x80042AFC: the name is good, but
 * has no address of that family), DNS_TIMEOUT (0x80042AFA), DNS_FAILURE (0x80042AFB), DNS_NO_SERVER, ARGUMENT_INVALID (0x80042726),
 * NOT_INITIALIZED (0x8004276D), ENGINE_STOPPED
 *
 * Source: SocketWrench 7 InetGetHostAddress.
 *
 * @example
 * const address = new INTERNET_ADDRESS();
 * if (InetGetHostAddress('dut.lab.test', INET_ADDRESS_UNKNOWN, address) === 0) console.log(String(address));
 */
export function InetGetHostAddress(hostName: string, family: number, address: INTERNET_ADDRESS): number {
  try {
    const { client } = currentSession();
    const host = parse(hostName);
    const wanted = familyOf(family);
    const found =
      host.kind === 'address'
        ? [host.address]
        : answerOf(
            SharedSocket.lookup(client, host.absolute ? `${host.name}.` : host.name, wanted),
            (socket) => socket.addresses,
          );
    const fitting = found.filter((one) => wanted === 0 || one.family === wanted);
    const first = fitting.find((one) => one.family === 4) ?? fitting[0];
    if (first === undefined) {
      throw new NetError('HOST_NO_ADDRESS', {
        phase: Phase.Resolve,
        detail: `${hostName} has no IPv${wanted} address`,
      });
    }
    address.set(first);
    return 0;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/**
 * The name of an address: the first one in the hosts file, else that of its PTR record. Blocks until it is known. Many addresses
 * have none, and nothing proves that the name belongs to the address.
 *
 * @param address of a host
 * @param hostName takes the name
 * @returns its length in characters; INET_ERROR on failure: ARGUMENT_INVALID (0x80042726: the address has no family), HOST_NOT_FOUND
 * (0x80042AF9: no such record), HOST_NO_ADDRESS (0x80042AFC), DNS_TIMEOUT (0x80042AFA), DNS_FAILURE (0x80042AFB), DNS_NO_SERVER,
 * NOT_INITIALIZED (0x8004276D), ENGINE_STOPPED
 *
 * Source: SocketWrench 7 InetGetHostName; its third parameter, the room for the name, is not needed here.
 *
 * @example
 * const address = new INTERNET_ADDRESS();
 * const name = { value: '' };
 * if (InetGetPeerAddress(socket, address) === 0 && InetGetHostName(address, name) > 0) console.log(name.value);
 */
export function InetGetHostName(address: INTERNET_ADDRESS, hostName: OutValue<string>): number {
  try {
    const { client } = currentSession();
    const asked = address.get();
    if (asked === null) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: 'the address is empty: its ipFamily is INET_ADDRESS_UNKNOWN',
      });
    }
    const [first] = answerOf(SharedSocket.reverse(client, asked), (socket) => socket.takeRecords());
    hostName.value = String(first?.data ?? '');
    return hostName.value.length;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/**
 * The name of the local system, as it knows itself; DNS need not.
 * @param name takes it
 * @returns its length in characters; INET_ERROR: NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketWrench 10, guide for Visual Basic.
 *
 * @example
 * const name = { value: '' };
 * InetGetLocalName(name);
 */
export function InetGetLocalName(name: OutValue<string>): number {
  try {
    currentSession();
    name.value = hostname();
    return name.value.length;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/**
 * Converts a host name to the form that goes into DNS questions and certificates: lower-case ASCII (UTS 46), without the dot at
 * its end; an IP literal to its usual form (RFC 5952). Nobody is asked. InetConnect does this by itself.
 *
 * @param hostName a host name in Unicode or ASCII, or an IP address
 * @param normalized takes the result
 * @returns its length in characters; INET_ERROR: HOST_INVALID
 *
 * Source: SocketWrench 11 InetConnect names it (non-ASCII names become ASCII-compatible); its signature is not published.
 *
 * @example
 * const name = { value: '' };
 * InetNormalizeHostName('Bücher.example', name); // xn--bcher-kva.example
 */
export function InetNormalizeHostName(hostName: string, normalized: OutValue<string>): number {
  try {
    const host = parse(hostName);
    normalized.value = host.kind === 'address' ? host.address.toString() : host.name;
    return normalized.value.length;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/**
 * The counterpart of {@link InetNormalizeHostName}: a name for people to read. Labels that are no IDNA stay as they are.
 *
 * @param hostName a host name in Unicode or ASCII, or an IP address
 * @param unicode takes the result
 * @returns its length in characters; INET_ERROR: HOST_INVALID
 *
 * Source: none published.
 *
 * @example
 * const name = { value: '' };
 * InetHostNameToUnicode('xn--bcher-kva.example', name); // bücher.example
 */
export function InetHostNameToUnicode(hostName: string, unicode: OutValue<string>): number {
  try {
    const host = parse(hostName);
    unicode.value =
      host.kind === 'address' ? host.address.toString() : domainToUnicode(host.name) || host.name;
    return unicode.value.length;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/**
 * Whether the stack can use an address family and a protocol: it has an address of the family, and knows the protocol.
 *
 * @param family INET_ADDRESS_IPV4, INET_ADDRESS_IPV6; INET_ADDRESS_UNKNOWN: either
 * @param protocol INET_PROTOCOL_TCP, INET_PROTOCOL_UDP
 * @returns false also for unknown numbers, and before InetInitialize (NOT_INITIALIZED, 0x8004276D)
 *
 * Source: SocketWrench 7 names it, to find out about IPv6; its signature is not published.
 *
 * @example
 * const options = InetIsProtocolAvailable(INET_ADDRESS_IPV6) ? INET_OPTION_PREFER_IPV6 : 0;
 */
export function InetIsProtocolAvailable(family: number, protocol: number = INET_PROTOCOL_TCP): boolean {
  try {
    const { families } = currentSession().settings;
    if (protocol !== INET_PROTOCOL_TCP && protocol !== INET_PROTOCOL_UDP) return false;
    const wanted = familyOf(family);
    return wanted === 0 ? families.length > 0 : families.includes(wanted);
  } catch (error) {
    return failed(error, false);
  }
}

function parse(hostName: unknown): HostArgument {
  if (typeof hostName === 'string') return parseHost(hostName, domainToASCII);
  throw new NetError('HOST_INVALID', { phase: Phase.Argument, detail: `it is ${typeof hostName}` });
}

function familyOf(family: number): 0 | 4 | 6 {
  if (family === INET_ADDRESS_UNKNOWN) return 0;
  if (family === INET_ADDRESS_IPV4) return 4;
  if (family === INET_ADDRESS_IPV6) return 6;
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `expected one of INET_ADDRESS_*, got ${String(family)}`,
  });
}

/** The resolver has a time of its own for each server, and tells. */
function answerOf<T>(socket: SharedSocket, take: (socket: SharedSocket) => T): T {
  try {
    for (;;) {
      const { sendSequence } = socket;
      if (socket.status === SocketStatus.Open) return take(socket);
      socket.throwIfFailed();
      sleepSend(socket, sendSequence, Infinity);
    }
  } finally {
    socket.release();
  }
}
