"""What can happen to a run's folder while nobody looks: each kind of damage as a function of the folder."""

import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Damage = Callable[[Path, Path, random.Random], object]
"""Given the folder, one of another run, and what draws the place of the damage."""
RECORD, HISTORY, CONFIG = "record.json", "metrics.csv", ".hydra/config.yaml"
BEST, LAST = "checkpoints/best.ckpt", "checkpoints/last.ckpt"


def cut(name: str) -> Damage:
    def damage(folder: Path, other: Path, draw: random.Random) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: draw.randrange(1, len(content))])

    return damage


def emptied(name: str) -> Damage:
    return lambda folder, other, draw: (folder / name).write_bytes(b"")


def lost(name: str) -> Damage:
    return lambda folder, other, draw: (folder / name).unlink()


def noise(name: str) -> Damage:
    return lambda folder, other, draw: (folder / name).write_bytes(draw.randbytes(300))


def swapped(name: str) -> Damage:
    return lambda folder, other, draw: shutil.copyfile(other / name, folder / name)


def flipped(name: str) -> Damage:
    """A bit of what is in it."""

    def damage(folder: Path, other: Path, draw: random.Random) -> None:
        content = bytearray((folder / name).read_bytes())
        content[draw.randrange(len(content) // 8, len(content) // 2)] ^= 1 << draw.randrange(7)
        (folder / name).write_bytes(content)

    return damage


def edited(name: str) -> Damage:
    """A digit of one of its numbers, where they are results."""

    def damage(folder: Path, other: Path, draw: random.Random) -> None:
        text = (folder / name).read_text()
        places = [found.start() + 2 for found in re.finditer(r"\d\.\d{6,}", text)]
        if not places:  # a run that has not ended has no results yet
            return
        place = draw.choice(places)
        (folder / name).write_text(text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :])

    return damage


def shortened(folder: Path, other: Path, draw: random.Random) -> None:
    lines = (folder / HISTORY).read_text().splitlines(keepends=True)
    (folder / HISTORY).write_text("".join(lines[: draw.randrange(1, len(lines))]))


def retyped(value: Any) -> Damage:
    """A field of the record, at any depth, holds something else."""

    def damage(folder: Path, other: Path, draw: random.Random) -> None:
        values = json.loads((folder / RECORD).read_text())
        place = values
        while True:
            name = draw.choice(sorted(place))
            if not (isinstance(place[name], dict) and place[name] and draw.random() < 0.7):
                break
            place = place[name]
        place[name] = value
        (folder / RECORD).write_text(json.dumps(values))

    return damage


def other_rate(folder: Path, other: Path, draw: random.Random) -> None:
    text = (folder / CONFIG).read_text()
    (folder / CONFIG).write_text(re.sub(r"\blr: .*", f"lr: {draw.uniform(0.1, 0.2):.4f}", text, count=1))


def moved(folder: Path, other: Path, draw: random.Random) -> None:
    """No damage at all: a copy takes the folder's place."""
    shutil.copytree(folder, folder.with_name("copy"))
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)


KINDS: dict[str, Damage] = {
    **{f"{name} is cut": cut(name) for name in (RECORD, HISTORY, CONFIG, BEST, LAST)},
    **{f"{name} is empty": emptied(name) for name in (RECORD, BEST, LAST)},
    **{f"{name} is lost": lost(name) for name in (HISTORY, CONFIG, BEST, LAST)},
    **{f"{name} is another run's": swapped(name) for name in (RECORD, HISTORY, CONFIG, BEST, LAST)},
    **{f"{name} is noise": noise(name) for name in (RECORD, LAST)},
    **{f"a bit of {name} is flipped": flipped(name) for name in (BEST, LAST)},
    **{f"a number in {name} is edited": edited(name) for name in (RECORD, HISTORY)},
    **{f"a field of the record is {value!r}": retyped(value) for value in (None, "text", [1], -1)},
    "metrics.csv is short": shortened,
    "the config has another rate": other_rate,
    "the folder was moved": moved,
}
