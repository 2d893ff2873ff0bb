"""The four purge and prefetch actions of ApsaraVideo VOD through the vendor's SDK, every answer judged field by field.

Speaks with its parent: `end ID` asks for that task to end, a line on standard input says that it has.
"""

import os
import re
import sys

from alibabacloud_tea_openapi import utils_models
from alibabacloud_vod20170321 import models
from alibabacloud_vod20170321.client import Client
from darabonba.runtime import RuntimeOptions

REQUEST_ID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
ROW = {"TaskId", "ObjectPath", "ObjectType", "Status", "Process", "CreationTime", "Description"}
QUOTAS = {"UrlQuota": "2000", "DirQuota": "100", "PreloadQuota": "500", "BlockQuota": "0", "blockRemain": "0"}


def client(secret=os.environ["FRESHEN_KEY_SECRET"]):
    return Client(
        utils_models.Config(
            access_key_id=os.environ["FRESHEN_KEY_ID"],
            access_key_secret=secret,
            endpoint=os.environ["FRESHEN_ENDPOINT"],
            protocol="HTTP",
            region_id="cn-shanghai",
            signature_algorithm=os.environ["FRESHEN_SIGNATURE"] or None,
        )
    )


VOD = client()


def purge(vod=VOD, **fields):
    request = models.RefreshVodObjectCachesRequest(**fields)
    return vod.refresh_vod_object_caches_with_options(request, RuntimeOptions())


def prefetch(**fields):
    request = models.PreloadVodObjectCachesRequest(**fields)
    return VOD.preload_vod_object_caches_with_options(request, RuntimeOptions())


def tasks(**fields):
    request = models.DescribeVodRefreshTasksRequest(**fields)
    return VOD.describe_vod_refresh_tasks_with_options(request, RuntimeOptions())


def quota():
    request = models.DescribeVodRefreshQuotaRequest()
    return VOD.describe_vod_refresh_quota_with_options(request, RuntimeOptions())


def same(found, expected):
    assert found == expected and type(found) is type(expected), f"{found!r} is not {expected!r}"


def fields_of(response, names):
    """The body of a success, once it is known to have exactly these fields and a request id."""
    same(response.status_code, 200)
    body = response.body.to_map()
    same(set(body), names | {"RequestId"})
    assert REQUEST_ID.fullmatch(body["RequestId"]), body
    return body


def submitted(response, name):
    task_id = fields_of(response, {name})[name]
    assert isinstance(task_id, str) and task_id.isdecimal(), task_id
    return task_id


def rows(response, page_size=20):
    """The rows of a list, once each is known to have exactly the vendor's fields, all of them strings."""
    body = fields_of(response, {"PageNumber", "PageSize", "TotalCount", "Tasks"})
    same(body["PageNumber"], 1)
    same(body["PageSize"], page_size)
    same(set(body["Tasks"]), {"Task"})
    listed = body["Tasks"]["Task"]
    same(body["TotalCount"], len(listed))
    for row in listed:
        same(set(row), ROW)
        assert all(isinstance(value, str) for value in row.values()), row
        assert TIME.fullmatch(row["CreationTime"]), row
    return listed


def columns(listed, *names):
    return [tuple(row[name] for name in names) for row in listed]


def refused(call, status, code, said):
    """The call fails as the SDK's users see it: status, code, message and request id."""
    try:
        response = call()
    except Exception as error:
        assert getattr(error, "code", None) == code, repr(error)
        same(error.status_code, status)
        assert said in error.message, error.message
        assert REQUEST_ID.fullmatch(error.data["RequestId"]), error.data
        assert all(isinstance(error.data[name], str) for name in ("HostId", "Message", "Recommend")), error.data
        return
    raise AssertionError(f"{code} was expected, came {response.body.to_map()}")


def end(task_id):
    print(f"end {task_id}", flush=True)
    same(sys.stdin.readline(), "ended\n")


def main():
    urls = "http://a.example/a.mp4\nhttps://a.example/b%20c.mp4?x=1&y=~"
    files = submitted(purge(object_path=urls, object_type="File"), "RefreshTaskId")
    listed = rows(tasks(task_id=files))
    names = ("TaskId", "ObjectPath", "ObjectType", "Status", "Process", "Description")
    expected = [(files, url, "file", "Refreshing", "0%", "") for url in urls.split("\n")]
    same(columns(listed, *names), expected)
    end(files)
    listed = rows(tasks(object_type="file", domain_name="a.example", status="Complete", page_number=1, page_size=50), 50)
    same([row[3:5] for row in columns(listed, *names)], [("Complete", "100%")] * 2)

    directory = submitted(purge(object_path="a.example/d/", object_type="Directory", force=True), "RefreshTaskId")
    same(columns(rows(tasks(task_id=int(directory))), "ObjectType", "ObjectPath"), [("directory", "a.example/d/")])

    variants = '{"Accept-Encoding":["gzip","identity"]}'
    request = {"object_path": "a.example/1\na.example/2", "area": "domestic", "l_2preload": False}
    warm = submitted(prefetch(with_header=variants, **request), "PreloadTaskId")
    end(warm)
    same(
        columns(rows(tasks(task_id=warm)), "ObjectPath", "ObjectType", "Status", "Process", "Description"),
        [
            ("a.example/1", "preload", "Complete", "100%", ""),
            ("a.example/2", "preload", "Failed", "0%", "Origin Timeout (pop-asia)"),
        ],
    )
    same(columns(rows(tasks(object_type="preload", status="Failed")), "ObjectPath"), [("a.example/2",)])
    same(rows(tasks(object_path="a.example/nothing")), [])

    remain = {"UrlRemain": "1998", "DirRemain": "99", "PreloadRemain": "498"}
    body = fields_of(quota(), set(QUOTAS) | set(remain))
    del body["RequestId"]
    same(body, QUOTAS | remain)

    refused(lambda: purge(client("another-secret"), object_path="a.example/1"), 400, "SignatureDoesNotMatch", ":")
    malformed = "InvalidObjectPath.Malformed"
    refused(lambda: purge(object_path="a.example/1\na.example/b c"), 400, malformed, "line 2: raw space in URL")
    foreign = "line 1: b.example is not a domain of this account"
    refused(lambda: purge(object_path="http://b.example/x"), 404, "InvalidDomain.NotFound", foreign)
    bad_type = "InvalidObjectType.ValueNotSupported"
    refused(lambda: purge(object_path="a.example/1", object_type="Moon"), 400, bad_type, "ObjectType")
    refused(lambda: tasks(task_id="moon"), 400, "InvalidTaskId.Malformed", "TaskId")


main()
