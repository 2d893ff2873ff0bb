"""Checks the AWS Signature Version 4 of a request by computing it anew.

Standard input has the request as JSON: method, target, headers (names in lower case), secret. Exits with 1 and says why
where the signature is another.
"""

import datetime
import hashlib
import hmac
import json
import re
import sys
import urllib.parse

request = json.load(sys.stdin)
headers = request["headers"]
pattern = r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request,\s*SignedHeaders=([^,]+),\s*Signature=(\w+)"
match = re.fullmatch(pattern, headers["authorization"])
if not match:
    sys.exit("no such signature: " + headers["authorization"])
_key_id, day, region, names, signature = match.groups()

parts = urllib.parse.urlsplit(request["target"])
path = urllib.parse.quote(urllib.parse.unquote_to_bytes(parts.path), safe="/-_.~")
pairs = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
query = urllib.parse.urlencode(sorted(pairs), quote_via=urllib.parse.quote)
lines = [request["method"], path, query]
lines += ["{}:{}".format(name, " ".join(headers[name].split())) for name in names.split(";")]
lines += ["", names, hashlib.sha256(b"").hexdigest()]
digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()

time = headers["x-amz-date"]
said = datetime.datetime.strptime(time, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
if abs((datetime.datetime.now(datetime.timezone.utc) - said).total_seconds()) > 900 or not time.startswith(day):
    sys.exit("not of now: " + time)
key = ("AWS4" + request["secret"]).encode()
for part in (day, region, "s3", "aws4_request"):
    key = hmac.new(key, part.encode(), hashlib.sha256).digest()
text = "\n".join(["AWS4-HMAC-SHA256", time, "/".join([day, region, "s3", "aws4_request"]), digest])
computed = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
if computed != signature:
    sys.exit("computed {} over {!r}, sent {}".format(computed, lines, signature))
