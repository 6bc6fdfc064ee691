import { IpProtocol } from '../../stack/wire/ipv4.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { type Addresses, encodeIp, encodeTcp, encodeUdp } from './packet.ts';
import { type IcmpSpec, ScriptUnsupported } from './syntax.ts';

/** Bytes of the transport header that an ICMPv4 error quotes (RFC 792). */
const QUOTED_BYTES = 8;
/** RFC 4443 §3: as much as fits the minimum MTU; the headers are enough here. */
const QUOTED_V6_BYTES = 20;
const ICMPV6 = 58;

/** Type numbers and, where a message has them, the names of its codes by number. */
type NameTable = Readonly<Record<string, { readonly type: number; readonly codes?: readonly string[] }>>;

/** packetdrill's names (RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1). */
const V4: NameTable = {
  echo_reply: { type: 0 },
  unreachable: {
    type: 3,
    codes: [
      'net_unreachable',
      'host_unreachable',
      'protocol_unreachable',
      'port_unreachable',
      'frag_needed',
      'source_route_failed',
      'net_unknown',
      'host_unknown',
      'source_host_isolated',
      'net_prohibited',
      'host_prohibited',
      'net_unreachable_for_tos',
      'host_unreachable_for_tos',
      'packet_filtered',
      'precedence_violation',
      'precedence_cutoff',
    ],
  },
  source_quench: { type: 4 },
  redirect: { type: 5 },
  echo_request: { type: 8 },
  time_exceeded: { type: 11, codes: ['ttl_exceeded_in_transit', 'frag_reass_exceeded'] },
  parameter_problem: { type: 12, codes: ['code_0', 'code_1', 'code_2'] },
};

/** RFC 4443 */
const V6: NameTable = {
  unreachable: {
    type: 1,
    codes: ['no_route', 'admin_prohibited', 'not_neighbour', 'address_unreachable', 'port_unreachable'],
  },
  packet_too_big: { type: 2 },
  time_exceeded: { type: 3, codes: ['exceeded_hop_limit', 'exceeded_frag_time'] },
  parameter_problem: { type: 4, codes: ['header_field', 'unknown_next_header', 'unknown_option'] },
  echo_request: { type: 128 },
  echo_reply: { type: 129 },
};

/** Type and code of a message. @throws ScriptUnsupported for a name that is not known */
export function icmpNumbers(spec: IcmpSpec, family: 4 | 6): { type: number; code: number } {
  const row = (family === 4 ? V4 : V6)[spec.type];
  if (row === undefined) throw new ScriptUnsupported(`ICMP type ${spec.type}`);
  const code = spec.code === '' ? 0 : (row.codes ?? []).indexOf(spec.code);
  // packetdrill has this name for IPv6, too
  if (code < 0 && spec.code === 'net_unreachable') return { type: row.type, code: 0 };
  if (code < 0) throw new ScriptUnsupported(`ICMP code ${spec.type} ${spec.code}`);
  return { type: row.type, code };
}

/** A message as scripts write it. */
export function icmpName(type: number, code: number, family: 4 | 6): string {
  for (const [name, row] of Object.entries(family === 4 ? V4 : V6)) {
    if (row.type === type) return `${name} ${row.codes?.[code] ?? ''}`.trim();
  }
  return `type ${type} code ${code}`;
}

/** The two ends of the packet that an error quotes, and its sequence number. */
export interface Quoted extends Addresses {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly seq: number;
}

/** Builds a message from the peer about `quoted`. */
export function encodeIcmp(spec: IcmpSpec, addresses: Addresses, quoted: Quoted): Uint8Array {
  const { family } = addresses.source;
  const { type, code } = icmpNumbers(spec, family);
  const body = quotedBytes(spec, quoted);
  const slab = Slab.alloc(8 + body.length);
  slab.view.setUint8(0, type);
  slab.view.setUint8(1, code);
  if (spec.mtuBytes >= 0) slab.view.setUint32(4, spec.mtuBytes);
  if (spec.id > 0) slab.view.setUint16(4, spec.id);
  slab.bytes.set(body, 8);
  return encodeIp(addresses, family === 4 ? IpProtocol.Icmp : ICMPV6, slab, 2);
}

function quotedBytes(spec: IcmpSpec, quoted: Quoted): Uint8Array {
  // As packetdrill has it: an error that does not say what it quotes is about the first sequence number
  const first = { protocol: 'tcp', seq: 0, payloadBytes: 0 } as const;
  const what = spec.quoted ?? (spec.type.startsWith('echo_') ? null : first);
  if (what === null || what.protocol === 'raw') return new Uint8Array(0);
  const payload = new Uint8Array(what.payloadBytes);
  const { sourcePort, destinationPort, seq } = quoted;
  const tcp = {
    sourcePort,
    destinationPort,
    seq,
    ack: 0,
    flags: '.',
    window: 0,
    urgent: 0,
    options: [],
    payload,
  };
  const whole =
    what.protocol === 'tcp'
      ? encodeTcp(quoted, tcp)
      : encodeUdp(quoted, sourcePort, destinationPort, payload);
  return quoted.source.family === 4
    ? whole.subarray(0, 20 + QUOTED_BYTES)
    : whole.subarray(0, 40 + QUOTED_V6_BYTES);
}
