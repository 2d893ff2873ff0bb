"""Calls on standard input, what the older Python SDKs make of their answers on standard output: a line of JSON each."""

import importlib
import json
import os
import sys

from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.credentials import AccessKeyCredential, StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest

HOST, PORT = os.environ["FRESHEN_ENDPOINT"].rsplit(":", 1)
KEY = os.environ["FRESHEN_KEY_ID"], os.environ["FRESHEN_KEY_SECRET"]
TOKEN = os.environ.get("FRESHEN_TOKEN")
CREDENTIAL = StsTokenCredential(*KEY, TOKEN) if TOKEN else AccessKeyCredential(*KEY)
CLIENT = AcsClient(region_id="cn-shanghai", credential=CREDENTIAL, port=int(PORT))
PACKAGES = {"2017-03-21": "aliyunsdkvod.request.v20170321", "2018-05-10": "aliyunsdkcdn.request.v20180510"}


def perform(version, action, params):
    name = f"{action}Request"
    try:
        request = getattr(importlib.import_module(f"{PACKAGES[version]}.{name}"), name)()
    except ModuleNotFoundError:
        # Newer than this generation: its users make a request without a model.
        request = CommonRequest(version=version, action_name=action)
        request.set_method("POST")
    request.set_endpoint(HOST)
    request.set_protocol_type("http")
    for parameter, value in params.items():
        # What a release had no setter for goes in as any other parameter.
        setter = getattr(request, f"set_{parameter}", None)
        setter(value) if setter else request.add_query_param(parameter, value)
    try:
        return {"status": 200, "body": json.loads(CLIENT.do_action_with_exception(request))}
    except ServerException as error:
        return {"status": error.http_status, "code": error.error_code, "message": error.message}


for line in sys.stdin:
    print(json.dumps(perform(**json.loads(line))), flush=True)
