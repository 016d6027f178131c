"""`python3 -m image.manifest --root TREE --out PREFIX`: what is in the image, as a list (PREFIX.manifest) and as an SBOM
(PREFIX.cdx.json).

The list has one line a package: "deb NAME VERSION ARCHITECTURE" or "pypi NAME VERSION". The SBOM is CycloneDX 1.6. Both hang
on the tree alone: the serial number is made from the list, the time is the build's.
"""

import argparse
import subprocess
import tomllib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from image import sums
from image.epoch import CHECKOUT, build_time, environment
from image.layout import NAMESPACE

BOOT_LOADER = ("grub-efi-amd64-bin", "grub-pc-bin")  # on the disk, but outside the tree: it comes from the machine that builds


@dataclass(frozen=True, order=True)
class Package:
    """One installed package; `kind` is the purl type ("deb", "pypi"), `architecture` empty for Python packages."""

    kind: str
    name: str
    version: str
    architecture: str = ""
    place: str = "root"

    @property
    def line(self) -> str:
        """Its line of the list."""
        return " ".join(part for part in (self.kind, self.name, self.version, self.architecture) if part)

    @property
    def purl(self) -> PackageURL:
        """Its package URL (purl-spec: types deb and pypi)."""
        if self.kind == "deb":
            return PackageURL("deb", "debian", self.name, self.version, {"arch": self.architecture, "distro": "trixie"})
        return PackageURL(self.kind, None, self.name, self.version)


def debian_packages(tree: Path, only: tuple[str, ...] = (), place: str = "root") -> list[Package]:
    """What dpkg has installed in `tree` (or those of `only`)."""
    command = ["dpkg-query", f"--admindir={tree / 'var/lib/dpkg'}", "--show"]
    command += ["--showformat=${Package}\\t${Version}\\t${Architecture}\\t${db:Status-Status}\\n", *only]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=environment(0))  # noqa: S603 - ours
    rows = [line.split("\t") for line in answer.stdout.splitlines()]
    return [
        Package("deb", name, version, architecture, place) for name, version, architecture, state in rows if state == "installed"
    ]


def python_packages(tree: Path) -> list[Package]:
    """What the gateway's venvs in `tree` hold (Debian's own Python packages are Debian packages)."""
    found = set()
    for folder in sorted(tree.glob("opt/mudroom/venv-*/lib/python3*/site-packages")):
        for distribution in distributions(path=[str(folder)]):
            found.add(Package("pypi", distribution.metadata["Name"].lower().replace("_", "-"), distribution.version))
    return sorted(found)


def packages_of(tree: Path) -> list[Package]:
    """All of them, sorted: the tree's, and the boot loader's."""
    loader = debian_packages(Path("/"), BOOT_LOADER, "boot")
    return sorted([*debian_packages(tree), *python_packages(tree), *loader])


def listing(packages: Iterable[Package]) -> str:
    """The text of PREFIX.manifest."""
    return "".join(f"{package.line}\n" for package in packages)


def bill_of_materials(packages: Iterable[Package], version: str, moment: int) -> str:
    """The SBOM as CycloneDX 1.6 JSON, checked against the schema. Raises ValueError if it is not valid."""
    packages = list(packages)
    image = Component(name="mudroom", version=version, type=ComponentType.OPERATING_SYSTEM, bom_ref="mudroom")
    metadata = BomMetaData(component=image, timestamp=datetime.fromtimestamp(moment, UTC))
    serial = uuid.uuid5(NAMESPACE, f"{version}\n{moment}\n{listing(packages)}")
    bom = Bom(components=[_component(package) for package in packages], metadata=metadata, serial_number=serial)
    bom.register_dependency(image, bom.components)
    text: str = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        raise ValueError(f"the SBOM is not valid CycloneDX 1.6: {str(fault)[:500]}")
    return text + "\n"


def _component(package: Package) -> Component:
    properties = [Property(name="mudroom:place", value=package.place)]
    kind = ComponentType.LIBRARY if package.kind == "pypi" else ComponentType.APPLICATION
    return Component(
        name=package.name,
        version=package.version,
        type=kind,
        purl=package.purl,
        bom_ref=f"{package.purl}#{package.place}",
        properties=properties,
    )


def version_of(checkout: Path = CHECKOUT) -> str:
    """The version in pyproject.toml."""
    return str(tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["version"])


def main(arguments: list[str] | None = None) -> int:
    """The command; prints one line."""
    parser = argparse.ArgumentParser(prog="image.manifest", description="Writes the image's package list and SBOM.")
    parser.add_argument("--root", type=Path, required=True, metavar="TREE")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="PREFIX", help="PREFIX.manifest and PREFIX.cdx.json are written"
    )
    chosen = parser.parse_args(arguments)
    packages = packages_of(chosen.root)
    out: Path = chosen.out
    out.parent.mkdir(parents=True, exist_ok=True)
    names = (out.with_name(out.name + ".manifest"), out.with_name(out.name + ".cdx.json"))
    names[0].write_text(listing(packages))
    names[1].write_text(bill_of_materials(packages, version_of(), build_time()))
    sums.record(*names)
    print(f"manifest: {len(packages)} packages in {names[0]} and {names[1].name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
