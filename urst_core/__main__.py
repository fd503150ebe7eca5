"""``python -m urst_core``: the same as the command ``urst``."""

from __future__ import annotations

import sys

from .cli.main import main

sys.exit(main())
