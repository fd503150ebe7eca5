"""Puts the manifest of weights, which lies at the top of a checkout, into the package.

Everything else is in pyproject.toml; package data alone cannot reach above a package.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

MANIFEST = "weights_manifest.json"


class BuildWithManifest(build_py):
    """Copies the manifest to where ``urst_core/weights/manifest.py`` looks for it if installed."""

    def run(self) -> None:
        super().run()
        # An editable installation reads the file at the top of the checkout itself.
        if not self.editable_mode:
            data = Path(self.build_lib) / "urst_core" / "data"
            data.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(__file__).with_name(MANIFEST), data / MANIFEST)


setup(cmdclass={"build_py": BuildWithManifest})
