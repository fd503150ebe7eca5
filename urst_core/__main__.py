"""``python -m urst_core``: the same as the command ``urst``."""

from __future__ import annotations

import sys

from .cli.start import main

sys.exit(main())
