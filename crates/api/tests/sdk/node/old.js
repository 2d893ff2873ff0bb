// Calls on standard input, what the older Node SDK makes of their answers on standard output: a line of JSON each.
'use strict';
const readline = require('readline');
const { RPCClient } = require('@alicloud/pop-core');

const method = process.env.FRESHEN_METHOD;

async function perform({ version, action, params }) {
  const client = new RPCClient({
    accessKeyId: process.env.FRESHEN_KEY_ID,
    accessKeySecret: process.env.FRESHEN_KEY_SECRET,
    securityToken: process.env.FRESHEN_TOKEN,
    endpoint: `http://${process.env.FRESHEN_ENDPOINT}`,
    apiVersion: version,
  });
  try {
    return { status: 200, body: await client.request(action, params, { method }) };
  } catch (error) {
    const response = error.entry && error.entry.response;
    return { status: response && response.statusCode, code: error.code, message: String(error.message) };
  }
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await perform(JSON.parse(line))));
  }
})();
