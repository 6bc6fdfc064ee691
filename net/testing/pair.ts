import { createMemoryLink, createStack, type NetStack, type ResolverOptions } from '../index.ts';

/** Two stacks of this process, wired together: documentation addresses (RFC 5737, RFC 3849), both families. */
export interface StackPair {
  readonly client: NetStack;
  readonly server: NetStack;
  close(): Promise<void>;
}

export const CLIENT_V4 = '192.0.2.1';
export const SERVER_V4 = '192.0.2.2';
export const CLIENT_V6 = '2001:db8::1';
export const SERVER_V6 = '2001:db8::2';
/** In the network of both, and nobody's: what is sent there is lost. */
export const NOBODY_V4 = '192.0.2.99';

/** @param resolver of the client */
export async function stackPair(resolver: ResolverOptions = {}): Promise<StackPair> {
  const [near, far] = createMemoryLink();
  const server = await createStack({
    device: far,
    addresses: [`${SERVER_V4}/24`, `${SERVER_V6}/64`],
    resolver: { hostsFile: null },
  });
  const client = await createStack({
    device: near,
    addresses: [`${CLIENT_V4}/24`, `${CLIENT_V6}/64`],
    resolver: { hostsFile: null, ...resolver },
  });
  return {
    client,
    server,
    close: async (): Promise<void> => {
      await client.close();
      await server.close();
    },
  };
}
