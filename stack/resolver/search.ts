import { MAX_NAME_CHARS } from './host-name.ts';

/**
 * The names to ask for, in this order, for what somebody gave as a host (resolv.conf(5), "search" and "ndots"): a name with
 * at least `ndots` dots first as it is, another one last as it is; one that ended in a dot only so.
 */
export function searchNames(
  name: string,
  absolute: boolean,
  search: readonly string[],
  ndots: number,
): readonly string[] {
  if (absolute || search.length === 0) return [name];
  const longer = search
    .map((domain) => `${name}.${domain}`)
    .filter((candidate) => candidate.length <= MAX_NAME_CHARS);
  const dots = name.split('.').length - 1;
  return dots >= ndots ? [name, ...longer] : [...longer, name];
}
