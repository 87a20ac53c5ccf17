"""Whether a folder is one's own: what is signed was written by this user, whose home folder has the key.

A folder that somebody sent is signed by another key or by none. Nothing is secret in a signature but the key itself.
"""

import hashlib
import hmac
import os
import secrets
from functools import cache
from pathlib import Path


def sign(text: str) -> str:
    """A signature of this user's; empty where they have no home folder to keep a key in."""
    key = _key(make=True)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest() if key else ""


def is_signed(text: str, signature: object) -> bool:
    """Whether this user signed a text."""
    key = _key(make=False)
    if not key or not isinstance(signature, str):
        return False
    return hmac.compare_digest(hmac.new(key, text.encode(), hashlib.sha256).hexdigest(), signature)


def _key(make: bool) -> bytes:
    try:
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        return _read(home / "tandem" / "key", make)
    except (OSError, RuntimeError):  # no home, or one that cannot be written
        return b""


@cache
def _read(path: Path, make: bool) -> bytes:
    if make and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"key.{secrets.token_hex(8)}")
        new.touch(mode=0o600)
        new.write_bytes(secrets.token_hex(32).encode())
        try:
            os.link(new, path)  # of two that start at once, one makes the key of both
        except FileExistsError:
            pass
        finally:
            new.unlink()
    return path.read_bytes()
