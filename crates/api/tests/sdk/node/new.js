// Calls on standard input, what the newer Node SDKs make of their answers on standard output: a line of JSON each.
'use strict';
const readline = require('readline');
const { default: OpenApi, $OpenApiUtil } = require('@alicloud/openapi-core');
const { default: Cdn } = require('@alicloud/cdn20180510');
const models = require('@alicloud/cdn20180510');
const dara = require('@darabonba/typescript');

const config = new $OpenApiUtil.Config({
  accessKeyId: process.env.FRESHEN_KEY_ID,
  accessKeySecret: process.env.FRESHEN_KEY_SECRET,
  securityToken: process.env.FRESHEN_TOKEN,
  endpoint: process.env.FRESHEN_ENDPOINT,
  protocol: 'HTTP',
  regionId: 'cn-shanghai',
});

async function cdn(action, params) {
  const method = action[0].toLowerCase() + action.slice(1) + 'WithOptions';
  const client = new Cdn(config);
  const Request = models[action + 'Request'];
  const args = [];
  if (Request) {
    const fields = {};
    for (const [field, wire] of Object.entries(Request.names())) {
      if (wire in params) fields[field] = params[wire];
    }
    args.push(new Request(fields));
  }
  const response = await client[method](...args, new dara.RuntimeOptions({}));
  return { status: response.statusCode, body: response.body.toMap() };
}

// The VOD package is not in the registry; its generated code is this call.
async function vod(action, params) {
  const api = new $OpenApiUtil.Params({
    action, version: '2017-03-21', protocol: 'HTTPS', pathname: '/', method: 'POST',
    authType: 'AK', style: 'RPC', reqBodyType: 'formData', bodyType: 'json',
  });
  const request = new $OpenApiUtil.OpenApiRequest({ query: params });
  const response = await new OpenApi(config).callApi(api, request, new dara.RuntimeOptions({}));
  return { status: response.statusCode, body: response.body };
}

async function perform({ version, action, params }) {
  try {
    return await (version === '2018-05-10' ? cdn : vod)(action, params);
  } catch (error) {
    return { status: error.statusCode, code: error.code, message: String(error.message) };
  }
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await perform(JSON.parse(line))));
  }
})();
