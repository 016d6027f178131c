"""Package list and SBOM of a tree: complete, valid, the same twice."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("cyclonedx", reason="the forge has python3-cyclonedx-lib (image/userland --forge)")
if shutil.which("grub-mkimage") is None:
    pytest.skip("the forge has GRUB, which the list names (image/userland --forge)", allow_module_level=True)

from image import manifest
from image.manifest import Package

STATUS = """Package: chrony
Status: install ok installed
Architecture: amd64
Version: 1:4.6-1

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

"""
METADATA = "Metadata-Version: 2.1\nName: Mitm_Proxy\nVersion: 12.2.3\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(STATUS)
    info = tmp_path / "opt/mudroom/venv-abc/lib/python3.13/site-packages/mitm_proxy-12.2.3.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(METADATA)
    return tmp_path


def test_the_list_names_what_is_installed_and_the_boot_loader(tree: Path) -> None:
    packages = manifest.packages_of(tree)
    lines = manifest.listing(packages).splitlines()
    assert "deb chrony 1:4.6-1 amd64" in lines
    assert "pypi mitm-proxy 12.2.3" in lines
    assert not [line for line in lines if "gone" in line]
    assert {p.name for p in packages if p.place == "boot"} == set(manifest.BOOT_LOADER)


def test_the_sbom_is_valid_complete_and_the_same_twice() -> None:
    packages = [Package("deb", "chrony", "1:4.6-1", "amd64"), Package("pypi", "h11", "0.16.0")]
    text = manifest.bill_of_materials(packages, "0.1.0", 1_700_000_000)  # held against the schema inside
    assert text == manifest.bill_of_materials(packages, "0.1.0", 1_700_000_000)
    bom = json.loads(text)
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    assert bom["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"
    assert {c["purl"] for c in bom["components"]} == {
        "pkg:deb/debian/chrony@1:4.6-1?arch=amd64&distro=trixie",
        "pkg:pypi/h11@0.16.0",
    }


def test_another_package_makes_another_serial_number() -> None:
    boms = [manifest.bill_of_materials([Package("pypi", "h11", v)], "0.1.0", 0) for v in ("1", "2")]
    assert len({json.loads(text)["serialNumber"] for text in boms}) == 2
