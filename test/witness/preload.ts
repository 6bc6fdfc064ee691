/**
 * Loaded into every thread that the test command starts, by NODE_OPTIONS: as soon as one of them loads the stack, what its interfaces send is
 * written down (frames.ts), so that tshark and tcpdump can be asked about it at the end (check.ts). What does not load the stack pays nothing.
 */
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { ROOT, TEST_FILE } from './names.ts';

const INTERFACE: string = pathToFileURL(`${ROOT}/stack/ip/interface.ts`).href;
const FRAMES: string = new URL('./frames.ts', import.meta.url).href;
const TESTS: string = pathToFileURL(`${ROOT}/`).href;

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (url.endsWith('.test.ts') && url.startsWith(TESTS))
      process.env[TEST_FILE] = decodeURI(url.slice(TESTS.length));
    // the last line only: positions in errors stay right
    else if (url === INTERFACE && loaded.source !== undefined && loaded.source !== null)
      loaded.source = `${text(loaded.source)}\nimport { watch } from '${FRAMES}'; watch(Interface);\n`;
    return loaded;
  },
});

function text(source: string | ArrayBuffer | NodeJS.TypedArray): string {
  return typeof source === 'string' ? source : new TextDecoder().decode(source);
}
