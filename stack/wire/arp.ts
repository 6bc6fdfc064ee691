import { EtherType, ethernetHigh, ethernetLow, writeEthernetAddress } from './ethernet.ts';

/** An ARP packet for IPv4 over Ethernet (RFC 826): where its fields lie. */
export const Arp = {
  HardwareType: 0,
  ProtocolType: 2,
  HardwareLength: 4,
  ProtocolLength: 5,
  Operation: 6,
  SenderHardware: 8,
  SenderProtocol: 14,
  TargetHardware: 18,
  TargetProtocol: 24,
} as const;

export const ARP_BYTES = 28;

export const ArpOperation = { Request: 1, Reply: 2 } as const;

const HARDWARE_ETHERNET = 1;
/** Hardware and protocol length in one word: 6 and 4. */
const LENGTHS = 0x0604;

/** True when all fields are there and say IPv4 over Ethernet. What the operation is, the caller looks at. */
export function isArpForIpv4(view: DataView, off: number, len: number): boolean {
  return (
    len >= ARP_BYTES &&
    view.getUint16(off + Arp.HardwareType) === HARDWARE_ETHERNET &&
    view.getUint16(off + Arp.ProtocolType) === EtherType.Ipv4 &&
    view.getUint16(off + Arp.HardwareLength) === LENGTHS
  );
}

export function arpSenderHigh(view: DataView, off: number): number {
  return ethernetHigh(view, off + Arp.SenderHardware);
}

export function arpSenderLow(view: DataView, off: number): number {
  return ethernetLow(view, off + Arp.SenderHardware);
}

/** IPv4 addresses are words, hardware addresses two numbers (`ethernetHigh`, `ethernetLow`). */
export function writeArp(
  view: DataView,
  off: number,
  operation: number,
  senderHigh: number,
  senderLow: number,
  sender: number,
  targetHigh: number,
  targetLow: number,
  target: number,
): void {
  view.setUint16(off + Arp.HardwareType, HARDWARE_ETHERNET);
  view.setUint16(off + Arp.ProtocolType, EtherType.Ipv4);
  view.setUint16(off + Arp.HardwareLength, LENGTHS);
  view.setUint16(off + Arp.Operation, operation);
  writeEthernetAddress(view, off + Arp.SenderHardware, senderHigh, senderLow);
  view.setInt32(off + Arp.SenderProtocol, sender);
  writeEthernetAddress(view, off + Arp.TargetHardware, targetHigh, targetLow);
  view.setInt32(off + Arp.TargetProtocol, target);
}
