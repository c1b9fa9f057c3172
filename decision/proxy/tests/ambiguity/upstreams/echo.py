"""Writes down every request as the server understood it: one JSON line each, to the file named by SEEN.

The target and the body are kept byte for byte (as Latin-1); headers as the server's interface hands them over.
"""

import json
import os

SEEN = os.open(os.environ["SEEN"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
ANSWER = b'{"ok":true}'


def note(method, target, headers, body):
    line = {"method": method, "target": target, "headers": headers, "body": body.decode("latin-1")}
    # One write to a file opened for appending: lines of several threads do not mix.
    os.write(SEEN, json.dumps(line).encode() + b"\n")


def wsgi(environ, start_response):
    """gunicorn and waitress."""
    target = environ.get("RAW_URI") or environ["REQUEST_URI"]
    headers = [[name[5:].replace("_", "-").lower(), value] for name, value in environ.items() if name.startswith("HTTP_")]
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers.append([name.replace("_", "-").lower(), environ[name]])
    note(environ["REQUEST_METHOD"], target, headers, environ["wsgi.input"].read())
    start_response("200 OK", [("content-type", "application/json"), ("content-length", str(len(ANSWER)))])
    return [ANSWER]


async def asgi(scope, receive, send):
    """uvicorn and hypercorn."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        body, more = body + message.get("body", b""), message.get("more_body", False)
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    headers = [[name.decode("latin-1").lower(), value.decode("latin-1")] for name, value in scope["headers"]]
    note(scope["method"], target.decode("latin-1"), headers, body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


def main():
    """Serves with waitress, which has no option for an address of its own beside a module's name."""
    import sys

    import waitress

    waitress.serve(wsgi, listen=" ".join(sys.argv[1:]), threads=8, ident=None)


if __name__ == "__main__":
    main()
