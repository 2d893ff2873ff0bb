"""Calls on standard input, what the newer Python SDKs make of their answers on standard output: a line of JSON each."""

import importlib
import json
import os
import sys

from alibabacloud_tea_openapi import utils_models
from darabonba.runtime import RuntimeOptions

CONFIG = dict(
    access_key_id=os.environ["FRESHEN_KEY_ID"],
    access_key_secret=os.environ["FRESHEN_KEY_SECRET"],
    security_token=os.environ.get("FRESHEN_TOKEN"),
    endpoint=os.environ["FRESHEN_ENDPOINT"],
    protocol="HTTP",
    region_id="cn-shanghai",
    signature_algorithm=os.environ.get("FRESHEN_SIGNATURE"),
)
PACKAGES = {"2017-03-21": "alibabacloud_vod20170321", "2018-05-10": "alibabacloud_cdn20180510"}


def perform(version, action, params):
    package = PACKAGES[version]
    client = importlib.import_module(f"{package}.client").Client(utils_models.Config(**CONFIG))
    # The generator parts words by its own lights: `set_vod_domain_sslcertificate`.
    wanted = action.lower() + "withoptions"
    method = next(name for name in dir(client) if name.replace("_", "") == wanted)
    request = getattr(importlib.import_module(f"{package}.models"), f"{action}Request", None)
    arguments = [request().from_map(params)] if request else []
    try:
        response = getattr(client, method)(*arguments, RuntimeOptions())
    except Exception as error:
        return {"status": error.status_code, "code": error.code, "message": error.message}
    return {"status": response.status_code, "body": response.body.to_map()}


for line in sys.stdin:
    print(json.dumps(perform(**json.loads(line))), flush=True)
