// needs: tun openssl nginx
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { text } from 'node:stream/consumers';
import test from 'ava';
import { Agent as Agent7, fetch as fetch7 } from 'undici7';
import { Agent as Agent8, fetch as fetch8 } from 'undici8';
import { createLab, KERNEL_V4, OWN_ADDRESSES } from '../test/netns.ts';
import { makeCredentials } from '../test/peers/credentials.ts';
import { startNginx } from '../test/peers/servers.ts';
import { createStack, httpAgent, httpsAgent, undiciConnector } from './index.ts';

test('http.Agent, https, http2, undici 7 and 8, fetch: nginx answers each through the stack', async (t) => {
  t.timeout(60_000);
  const lab = await createLab(t);
  const options = { device: `tun:${lab.tun}`, addresses: OWN_ADDRESSES, resolver: { hostsFile: null } };
  const stack = await lab.within(() => createStack(options));
  t.teardown(() => stack.close());
  const credentials = makeCredentials(lab.folder, [KERNEL_V4]);
  const tls = { ca: readFileSync(credentials.caFile, 'utf8') };
  await startNginx(lab, credentials, { 'hello.txt': 'hello from nginx' });
  const path = `${KERNEL_V4}/hello.txt`;

  const plain = httpAgent(stack);
  const secure = httpsAgent(stack, tls);
  for (let i = 0; i < 3; i++) {
    const [answer] = await once(http.get(`http://${path}`, { agent: plain }), 'response');
    t.is(await text(answer), 'hello from nginx');
    const [secret] = await once(https.get(`https://${path}`, { agent: secure }), 'response');
    t.is(await text(secret), 'hello from nginx');
    t.is(secret.req.reusedSocket, i > 0);
  }
  plain.destroy();
  secure.destroy();

  for (const dispatcher of [
    new Agent7({ connect: undiciConnector(stack, { tls }) }),
    new Agent8({ connect: undiciConnector(stack, { tls }) }),
  ]) {
    const url = `https://${path}`;
    const response =
      dispatcher instanceof Agent7 ? await fetch7(url, { dispatcher }) : await fetch8(url, { dispatcher });
    t.is(await response.text(), 'hello from nginx');
    await dispatcher.close();
  }
  t.is(await (await stack.fetch(`https://${path}`, { tls })).text(), 'hello from nginx');

  const socket = await stack.connect({ host: KERNEL_V4, port: 444, tls: { ...tls, alpnProtocols: ['h2'] } });
  t.is(socket.alpnProtocol, 'h2');
  const session = http2.connect(`https://${KERNEL_V4}`, { createConnection: () => socket });
  t.is(await text(session.request({ ':path': '/hello.txt' })), 'hello from nginx');
  session.close();
});
