// Starts a thread and has @azure/core-lro poll it until it has ended.
import { createHttpPoller } from '@azure/core-lro';

const { SERVER, TOKEN, PROCESS, FORM, CANCELS } = process.env;
const headers = { Authorization: `Bearer ${TOKEN}` };

async function answerOf(url, options) {
  const response = await fetch(url, { ...options, headers });
  const body = await response.json();
  const named = Object.fromEntries(response.headers.entries());
  if (!response.ok) throw Object.assign(new Error(body.message), { name: 'RestError', statusCode: response.status });
  const request = { method: options.method, url };
  return { flatResponse: body, rawResponse: { statusCode: response.status, headers: named, body, request } };
}

const poller = createHttpPoller(
  {
    sendInitialRequest: () =>
      answerOf(`${SERVER}/members/contributor/groups/acme/samples/${PROCESS}`, {
        method: 'POST', body: new URLSearchParams(FORM),
      }),
    sendPollRequest: path => answerOf(new URL(path, SERVER), { method: 'GET' }),
  },
  { intervalInMs: 200 },
);
if (CANCELS) {
  await poller.submitted();
  const [operation] = poller.operationState.config.operationLocation.match(/.*(?=\/operation)/);
  await answerOf(`${operation}/cancel`, { method: 'POST' });
}
try {
  const result = await poller.pollUntilDone();
  console.log(JSON.stringify({ status: poller.operationState.status, result: result.message }));
} catch (error) {
  console.log(JSON.stringify({ status: poller.operationState.status, error: error.message }));
}
