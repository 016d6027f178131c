"""One world, one guest, booted once for all tests of this folder; each module starts from its snapshot.

In the forge, as root: `./image/userland --forge run -- python3 -m pytest tests/vm`. $MUDROOM_IMAGE names another image.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.lab import disk
from tests.vm.lab.scene import Boot, Scene
from tests.vm.lab.world import World

ORDER = (
    "lab", "boot", "lan", "pages", "devices", "frames", "sandbox", "silence", "failing", "power", "stick",
    "provision", "vagrant",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order in which one boot serves most; those with machines of their own come last."""

    def place(item: pytest.Item) -> int:
        name = item.path.stem.removeprefix("test_")
        return ORDER.index(name) if item.path.parent == Path(__file__).parent and name in ORDER else -1

    items.sort(key=place)


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """Internet, laptop, devices and switch."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("no QEMU here: run in the forge, `make test-vm`")
    with World() as made:
        yield made


@pytest.fixture(scope="session")
def base() -> Path:
    """The image's raw disk, unpacked once."""
    packed = disk.image()
    if packed is None:
        pytest.fail("there is no image to test: `make image` builds it into image/out")
    return disk.unpacked(packed)


@pytest.fixture(scope="session")
def scene(world: World, base: Path) -> Iterator[Scene]:
    """The guest, off."""
    made = Scene(world, base)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def first(scene: Scene) -> Boot:
    """Its first start under UEFI: what was seen on the way. Afterwards the devices are admitted."""
    return scene.first_start()


@pytest.fixture(scope="module")
def vm(scene: Scene, first: Boot) -> Iterator[Scene]:
    """The home at work, as the snapshot has it, at the start of each module."""
    scene.restore()
    yield scene
    scene.guest.forget()


@pytest.fixture(scope="module")
def alone(world: World) -> World:
    """For modules that start machines of their own on the world's wires: the shared guest is off meanwhile."""
    world.clear()
    return world
