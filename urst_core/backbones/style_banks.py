"""Networks with a bank of styles: what tells its size, for those who see only a file's header.

Menus list the styles of weights that are loaded later, if at all, so this module is light.
"""

from __future__ import annotations

STYLE_BANKS = {"cin": "transformer.contract.conv1.gamma"}
"""By backbone, a parameter with a row for each style of its bank."""


def numbered_styles(count: int) -> tuple[str, ...]:
    """Names of the styles of a bank, which has no others.

    Example:
        >>> numbered_styles(3)
        ('0', '1', '2')
    """
    return tuple(str(number) for number in range(count))
