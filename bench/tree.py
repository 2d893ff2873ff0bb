#!/usr/bin/env python3
"""Serves a folder that is there already through a demo's first POP, compares every byte, purges it, and says how long
each of it took: `bench/tree.py target/release/freshen FOLDER`."""

import collections, http.client, multiprocessing, os, subprocess, sys, tempfile, time, urllib.parse

PORT, HOST, READERS = 9380, "demo.localhost", 2
ENVIRONMENT = os.environ | {
    "FRESHEN_ACCESS_KEY_ID": "demo",
    "FRESHEN_ACCESS_KEY_SECRET": "demo-secret",
    "FRESHEN_ENDPOINT": f"http://127.0.0.1:{PORT}",
}


def files_of(root):
    """All regular files below `root`, as bytes; links are not followed."""
    for folder, _, names in os.walk(os.fsencode(root)):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path


def read(task):
    """Gets every file of a share over one connection; counts the answers by status and X-Cache."""
    root, share = task
    counts, size = collections.Counter(), 0
    viewer = http.client.HTTPConnection("127.0.0.1", PORT + 1)
    for path in share:
        viewer.request("GET", urllib.parse.quote(path[len(root) :]), headers={"Host": HOST})
        answer = viewer.getresponse()
        body = answer.read()
        with open(path, "rb") as file:
            wrong = answer.status == 200 and body != file.read()
        counts["WRONG" if wrong else f"{answer.status} {answer.getheader('x-cache', '-').split()[0]}"] += 1
        size += len(body)
    return counts, size


def read_all(readers, root, files):
    began = time.monotonic()
    counts, size = collections.Counter(), 0
    for some, bytes_ in readers.map(read, [(root, files[reader::READERS]) for reader in range(READERS)]):
        counts += some
        size += bytes_
    return time.monotonic() - began, counts, size


def is_ready():
    """Whether the first POP looks things up already, instead of passing them through."""
    try:
        viewer = http.client.HTTPConnection("127.0.0.1", PORT + 1)
        viewer.request("GET", "/no/such/file", headers={"Host": HOST})
        return viewer.getresponse().getheader("x-cache", "").startswith("MISS")
    except OSError:
        return False


def main(program, folder):
    root = os.fsencode(os.path.realpath(folder))
    files = sorted(files_of(root))
    data = tempfile.mkdtemp(prefix="freshen-tree-")
    demo = subprocess.Popen(
        [program, "demo", "--port-base", str(PORT), "--data", data, "--origin-dir", folder],
        stdout=subprocess.DEVNULL,
    )
    try:
        with multiprocessing.Pool(READERS) as readers:
            while not is_ready():
                time.sleep(0.2)
            print(f"{len(files)} files")
            for what in ["filled", "read again", "purged, then read"]:
                if what.startswith("purged"):
                    began = time.monotonic()
                    purge = [program, "purge", "--dir", "--wait", f"http://{HOST}/"]
                    subprocess.run(purge, env=ENVIRONMENT, check=True)
                    print(f"purge of all, complete on three POPs: {time.monotonic() - began:.2f} s")
                seconds, counts, size = read_all(readers, root, files)
                print(f"{what}: {seconds:.0f} s, {size / 1e6:.0f} MB, {dict(counts)}")
    finally:
        demo.terminate()
        demo.wait()
        subprocess.run(["rm", "-rf", data], check=True)


main(*sys.argv[1:])
