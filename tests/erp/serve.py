"""Runs the ERP on a port for as long as its standard input stays open.

Called as `serve.py FOLDER [--host ADDRESS] [--port PORT] [--supervised]` with the Python of the prepared environment; FOLDER holds `erp.sqlite` and
`keys/`. The kernel picks the port unless one is given, and the first line of stdout says which: `{"port": 40123}`. It
is printed when the ERP has loaded its modules and listens, so a call made after it is answered. The address is
loopback unless one is given. With --supervised a supervisor ends this process, and its standard input says nothing.

Lifetime: when the parent ends, however it ends, the kernel closes the pipe and this process sees the end of its input.
(The kernel's parent-death signal would not do: it fires when the *thread* that started the child ends.)

Every request that arrives is one line in FOLDER/access.jsonl, written before its answer leaves, so whoever has seen an
answer finds its line, and a call that never came here has none.
"""

import argparse
import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

# The longest wait for requests under way, in seconds, once the input has ended.
DRAIN = 2.0


class AccessLog:
    """WSGI middleware: one JSON line per request. It never writes a credential, only whose it is."""

    def __init__(self, app, folder):
        self.app = app
        self.out = open(folder / "access.jsonl", "ab", buffering=0)
        self.users = {f"bearer {path.read_text()}": path.name for path in (folder / "keys").iterdir()}
        self.lock = threading.Lock()
        self.open_requests = 0

    def user(self, authorization):
        """The login whose key came with a request; "unknown" for any other credential, None for none."""
        if authorization is None:
            return None
        kind, _, key = authorization.partition(" ")
        return self.users.get(f"{kind.lower()} {key}", "unknown")

    def __call__(self, environ, start_response):
        line = {
            "time": time.time(),
            "method": environ["REQUEST_METHOD"],
            "path": environ.get("PATH_INFO", ""),
            "query": environ.get("QUERY_STRING", ""),
            "idempotency_key": environ.get("HTTP_IDEMPOTENCY_KEY"),
            "user_agent": environ.get("HTTP_USER_AGENT"),
            "user": self.user(environ.get("HTTP_AUTHORIZATION")),
            "status": 500,
        }

        def counted_start(status, headers, exc_info=None):
            line["status"] = int(status.split(" ", 1)[0])
            return start_response(status, headers, exc_info)

        with self.lock:
            self.open_requests += 1
        try:
            # Tryton answers whole bodies: when the call returns, the effect is committed.
            return self.app(environ, counted_start)
        finally:
            with self.lock:
                self.open_requests -= 1
                self.out.write(json.dumps(line).encode() + b"\n")


def load(folder):
    """Loads Tryton with a configuration of its own and gives its WSGI application."""
    from trytond import config

    # `worker = True` leaves queued work (turning a confirmed order into shipments and invoices) to a worker process
    # that does not run here: a confirmed order stays `confirmed`.
    conf = f"[database]\nuri = sqlite://\npath = {folder}\n[queue]\nworker = True\n"
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(conf)
        file.flush()
        config.update_etc(file.name)

    from trytond.pool import Pool
    from trytond.wsgi import app

    Pool.start()
    Pool("erp").init()
    return app


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--supervised", action="store_true")
    arguments = arguments.parse_args()
    folder = arguments.folder.resolve()
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(levelname)s %(name)s %(message)s")

    # Ctrl-C reaches every process of the terminal: the parent decides when this one ends, by its pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Watched before the modules load: a parent that dies during the start leaves nothing behind either.
    server_ready = []
    if not arguments.supervised:
        threading.Thread(target=end_with_input, args=(server_ready,), daemon=True).start()

    from werkzeug.serving import WSGIRequestHandler, make_server

    class QuietHandler(WSGIRequestHandler):
        def log_request(self, code="-", size="-"):
            pass

    app = AccessLog(load(folder), folder)
    server = make_server(arguments.host, arguments.port, app, threaded=True, request_handler=QuietHandler)
    server_ready.append((server, app))
    print(json.dumps({"port": server.server_port}), flush=True)
    server.serve_forever()
    # Reached only through shutdown(); the watching thread ends the process.
    threading.Event().wait()


def end_with_input(server_ready):
    while os.read(sys.stdin.fileno(), 4096):
        pass
    if server_ready:
        server, app = server_ready[0]
        stopping = threading.Thread(target=server.shutdown, daemon=True)
        stopping.start()
        stopping.join(DRAIN)
        deadline = time.monotonic() + DRAIN
        while app.open_requests and time.monotonic() < deadline:
            time.sleep(0.01)
    os._exit(0)


main()
