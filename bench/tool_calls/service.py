"""A running `hanlin serve` for the programs of this folder."""
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time

import httpx


@contextlib.contextmanager
def serve(hanlin, models, *arguments):
    """Yields the address. `models`: names and files."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [hanlin, "serve", "--port", str(port), *arguments]
    for name, path in models.items():
        command += ["--model", f"{name}={path}"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"HANLIN_LOG_LEVEL": "warning"})
        try:
            url = f"http://127.0.0.1:{port}"
            while True:
                if process.poll() is not None:
                    log.seek(0)
                    raise RuntimeError(f"hanlin serve ended with {process.returncode}: {log.read()[-2000:].decode(errors='replace')}")
                with contextlib.suppress(httpx.TransportError):
                    if httpx.get(url + "/health/ready").status_code == 200:
                        break
                time.sleep(0.1)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
