// A client of the types that openapi-typescript generates: it signs in, starts, follows, logs, cancels and fetches a result.
import createClient from 'openapi-fetch';
import type { components, paths } from './schema.js';

declare const process: { env: Record<string, string> };
const { SERVER, CLIENT_ID, CLIENT_SECRET } = process.env;
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };
const client = createClient<paths>({ baseUrl: SERVER });

function sure<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

async function ended(thread: string): Promise<components['schemas']['thread']> {
  for (;;) {
    const now = sure(await client.GET('/groups/{group}/threads/{thread}/progress', {
      params: { path: { group: 'acme', thread }, header: { Prefer: 'wait=20' } },
    }));
    if (['completed', 'failed', 'cancelled'].includes(now.status)) return now;
  }
}

const token = sure(await client.POST('/oauth/token', {
  body: { grant_type: 'client_credentials', client_id: CLIENT_ID, client_secret: CLIENT_SECRET },
  headers: FORM,
}));
client.use({
  onRequest({ request }) {
    request.headers.set('Authorization', `Bearer ${token.access_token}`);
  },
});

const path = { member: 'contributor', group: 'acme' };
const started = sure(await client.POST('/members/{member}/groups/{group}/export', {
  params: { path },
  body: { path: '/many', includes: '', excludes: '' },
  headers: FORM,
}));
if (typeof started === 'string') throw new Error('The export was answered at once.');
const exported = await ended(started.id);
const log = sure(await client.GET('/groups/{group}/threads/{thread}/logs', {
  params: { path: { group: 'acme', thread: started.id }, query: { from: 1, 'page-size': 2 } },
}));
const file = sure(await client.GET('/groups/{group}/threads/{thread}/results/{filename}', {
  params: { path: { group: 'acme', thread: started.id, filename: exported.zip! } },
  parseAs: 'arrayBuffer',
}));
const sleeper = sure(await client.POST('/members/{member}/groups/{group}/samples/waiting', {
  params: { path },
  body: { mark: process.env.MARK, until: process.env.UNTIL },
  headers: FORM,
}));
sure(await client.POST('/groups/{group}/threads/{thread}/cancel', {
  params: { path: { group: 'acme', thread: sleeper.id } },
  body: { force: true, reason: 'Enough' },
  headers: FORM,
}));
const refused = await client.GET('/groups/{group}/threads', { params: { path: { group: 'nowhere' } } });

console.log(JSON.stringify({
  status: exported.status,
  events: log.events.map(event => event.seq),
  bytes: Array.from(new Uint8Array(file as ArrayBuffer).slice(0, 2)),
  cancelled: (await ended(sleeper.id)).status,
  refused: refused.error?.message,
}));
