import type Forge from 'node-forge';
import { deriveWithOpenSsl } from './derivation.ts';

let loaded: typeof Forge | null = null;

/** node-forge, read when a store or an encrypted key takes it: with it every start would take a tenth of a second more. */
export function forge(): typeof Forge {
  if (loaded === null) {
    const module = process.getBuiltinModule('node:module');
    loaded = module.createRequire(import.meta.url)('node-forge') as typeof Forge;
    deriveWithOpenSsl(loaded);
  }
  return loaded;
}
