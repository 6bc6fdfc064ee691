import { fileURLToPath } from 'node:url';

/** What npm puts on the path, from a checkout's sources as from the published package. */
export const LAUNCHER: string = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './tunwire.js' : '../../cli/tunwire.js', import.meta.url),
);
