"""Makes the ERP's Python environment and its base database, once per content.

The folder is `$AEGIS_CACHE/erp/KEY` (`$XDG_CACHE_HOME/aegis` or `~/.cache/aegis` when unset), where KEY is a digest of
everything that shapes it: these scripts, the pinned requirements, the Python version and the machine. It holds

    venv/         the Python environment with Tryton
    erp.sqlite    the base database (one file, no journal), copied for every server that is started
    ids.json      the ids of the records that tests and demo name
    keys/NAME     one REST key per user, readable by the owner alone
    complete      written last: without it the folder is made anew

Calls at the same time wait for one another (a lock file beside the folder), and a call that was killed half-way leaves
nothing that a later one would take for finished. Progress goes to stderr; the last line of stdout is the folder.
"""

import fcntl
import hashlib
import os
import platform
import secrets
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHAPING = ("prepare.py", "requirements.txt", "seed.py")
MODULES = ("ir", "purchase", "bank", "account_payment")


def say(text):
    print(f"erp: {text}", file=sys.stderr, flush=True)


@contextmanager
def step(text, usually):
    say(f"{text} (usually {usually}) ...")
    start = time.monotonic()
    yield
    say(f"{text}: done in {time.monotonic() - start:.0f} s")


def cache_root():
    if named := os.environ.get("AEGIS_CACHE"):
        return Path(named)
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "aegis"
    return Path.home() / ".cache" / "aegis"


def key():
    digest = hashlib.sha256()
    for name in SHAPING:
        digest.update(name.encode() + b"\0" + (HERE / name).read_bytes() + b"\0")
    digest.update(f"{platform.python_version()} {sys.platform} {platform.machine()}".encode())
    return digest.hexdigest()[:20]


@contextmanager
def locked(path):
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another call is preparing the ERP, waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(log, *command, **kwargs):
    """Runs a command; its output goes to the log file, whose end is shown when the command fails."""
    with log.open("ab") as out:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **kwargs)
    if result.returncode:
        say(f"failed ({result.returncode}): {' '.join(map(str, command))}; the end of {log}:")
        for line in log.read_text(errors="replace").splitlines()[-40:]:
            print("    " + line, file=sys.stderr)
        sys.exit(1)


def make_environment(target, log):
    run(log, sys.executable, "-m", "venv", target / "venv")
    run(
        log, target / "venv/bin/python", "-m", "pip", "install",
        "--disable-pip-version-check", "--no-input", "--no-deps", "-r", HERE / "requirements.txt",
    )


def make_database(target, log):
    database = target / "erp.sqlite"
    database.touch()
    conf = target / "prepare.conf"
    conf.write_text(f"[database]\nuri = sqlite://\npath = {target}\n")
    # The administrator's password is thrown away: the users of tests and demo have REST keys.
    password = target / "password"
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(24))
    run(
        log, target / "venv/bin/python", "-m", "trytond.cli.admin", "-c", conf, "-d", "erp",
        "--email", "erp@localhost", "-u", *MODULES, "--activate-dependencies",
        env={**os.environ, "TRYTONPASSFILE": str(password)},
    )
    password.unlink()
    return conf


def seed(target, conf, log):
    run(log, target / "venv/bin/python", HERE / "seed.py", conf, target)
    conf.unlink()
    # Tryton uses a write-ahead log: fold it in, so that copying one file copies the database.
    with sqlite3.connect(target / "erp.sqlite") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()


def main():
    root = cache_root() / "erp"
    root.mkdir(parents=True, exist_ok=True)
    target = root / key()
    complete = target / "complete"
    if not complete.exists():
        with locked(root / f"{target.name}.lock"):
            if not complete.exists():
                shutil.rmtree(target, ignore_errors=True)
                target.mkdir(mode=0o700)
                log = target / "prepare.log"
                with step("installing Tryton into a Python environment", "15 to 60 s"):
                    make_environment(target, log)
                with step("creating the ERP's database", "20 to 60 s"):
                    conf = make_database(target, log)
                with step("filling in company, suppliers, products and users", "10 s"):
                    seed(target, conf, log)
                complete.touch()
    print(target)


try:
    main()
except KeyboardInterrupt:
    say("interrupted; the next call begins anew")
    sys.exit(130)
