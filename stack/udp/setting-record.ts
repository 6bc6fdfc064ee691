import type { Ring } from '../ring.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { type DatagramHeader, pushRecord, SETTING_FAMILY } from './datagram-ring.ts';

/**
 * Settings of a UDP socket that travel through its send ring between the datagrams, so that each holds for what is sent after it.
 * A record's port is one of these; the addresses lie in its payload, a number in its first address word.
 */
export const UdpSetting = {
  Join: 1,
  Leave: 2,
  MulticastTtl: 3,
  MulticastLoop: 4,
  MulticastInterface: 5,
  Ttl: 6,
  Broadcast: 7,
  TypeOfService: 8,
} as const;
export type UdpSetting = (typeof UdpSetting)[keyof typeof UdpSetting];

const ADDRESS_BYTES = 20;
const SETTING_BYTES: number = 3 * ADDRESS_BYTES;

/**
 * Application: appends a setting.
 * @param addresses up to three; null: left open
 * @returns false when there is no room now
 */
export function pushSetting(
  ring: Ring,
  setting: UdpSetting,
  value: number,
  addresses: readonly (IpAddress | null)[],
): boolean {
  const bytes = new Uint8Array(SETTING_BYTES);
  const view = new DataView(bytes.buffer);
  addresses.forEach((address, i) => {
    if (address === null) return;
    const at = i * ADDRESS_BYTES;
    view.setUint32(at, address.family);
    view.setInt32(at + 4, address.w0);
    view.setInt32(at + 8, address.w1);
    view.setInt32(at + 12, address.w2);
    view.setInt32(at + 16, address.w3);
  });
  return pushRecord(ring, SETTING_FAMILY, value, 0, 0, 0, setting, bytes, 0, bytes.length, 0);
}

/** Stack: an address of the setting that `header` is of. @returns null when it is left open */
export function settingAddress(ring: Ring, header: DatagramHeader, index: number): IpAddress | null {
  const bytes = new Uint8Array(SETTING_BYTES);
  ring.copyOut(header.position, bytes, 0, Math.min(header.lengthBytes, SETTING_BYTES));
  const view = new DataView(bytes.buffer);
  const at = index * ADDRESS_BYTES;
  const family = view.getUint32(at);
  if (family !== 4 && family !== 6) return null;
  return new IpAddress(
    family,
    view.getInt32(at + 4),
    view.getInt32(at + 8),
    view.getInt32(at + 12),
    view.getInt32(at + 16),
  );
}
