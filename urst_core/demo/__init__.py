"""Procedural pictures for `urst demo`: a landscape 'photograph' and a painting.

Both are made from arithmetic alone, so that the demo needs neither a download nor a
picture shipped with the package.
"""

from __future__ import annotations

from .landscape import DemoLandscape
from .painting import demo_painting

__all__ = ["DemoLandscape", "demo_painting"]
