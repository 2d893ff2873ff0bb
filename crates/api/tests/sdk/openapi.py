"""Reads /v1 by its OpenAPI document: the document is valid, and what is answered is as it says."""

import json
import sys
import urllib.error
import urllib.request

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

endpoint, token = sys.argv[1:]


def ask(method, path, body=None):
    request = urllib.request.Request(endpoint + path, method=method)
    request.add_header("Authorization", f"Bearer {token}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


document = json.loads(ask("GET", "/v1/openapi.json")[1])
OpenAPIV31SpecValidator(document).validate()


def valid(schema, value):
    # A schema's references lead into the document.
    Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def call(method, template, *, body=None, query="", expected=200, **names):
    """Does an operation as the document describes it, and holds the answer against it."""
    operation = document["paths"][template][method.lower()]
    if body is not None and expected < 400:
        valid(operation["requestBody"]["content"]["application/json"]["schema"], body)
    status, answer = ask(method, template.format(**names) + query, body)
    assert status == expected, (method, template, status, answer)
    described = operation["responses"].get(str(status)) or operation["responses"]["default"]
    if status == 204:
        assert not answer and "content" not in described
        return None
    answer = json.loads(answer)
    valid(described["content"]["application/json"]["schema"], answer)
    return answer


task = call("POST", "/v1/purge", body={"lines": ["http://a.example/x"]})
call("GET", "/v1/tasks/{id}", id=task["id"], query="?wait_ms=1&seen=0")
call("POST", "/v1/prefetch", body={"lines": ["http://a.example/x.m3u8"], "follow": {"first": {"segments": 2}}})
call("GET", "/v1/tasks", query="?limit=1&text=x")
call("GET", "/v1/quota")
stream = {"media": "m1", "url": "http://a.example/x.m3u8", "format": "m3u8", "definition": "HD"}
call("POST", "/v1/media", body={"streams": [stream]}, expected=204)
call("GET", "/v1/media")
call("DELETE", "/v1/media/{id}", id="m1", expected=204)
call("GET", "/v1/receipt-keys")
call("GET", "/v1/pops")
call("GET", "/v1/keys")
call("GET", "/v1/domains")
domain = call("GET", "/v1/domains/{name}", name="a.example")
domain["settings"].update(ttl=[{"when": {"suffix": ".m3u8"}, "ttl_s": 2}], query={"only": ["v"]}, home="region")
call("PUT", "/v1/domains/{name}", name="a.example", body=domain)
call("GET", "/v1/accounts/{name}", name="ann")
# Refusals have a shape, too.
call("POST", "/v1/purge", body={"lines": ["nowhere"]}, expected=400)
call("POST", "/v1/purge", body={"lines": [], "moon": 1}, expected=400)
call("GET", "/v1/tasks/{id}", id="7", expected=404)
call("GET", "/v1/accounts", expected=403)
call("GET", "/v1/tasks", query="?limit=101", expected=400)
