"""What a picture was painted with, as a property of our own in its XMP packet.

XMP is the one kind of metadata that JPEG, PNG, TIFF, WebP and AVIF have in common. A packet of the
content is kept, and gets one more ``rdf:Description``; an earlier one of ours is replaced.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.sax.saxutils import escape, unescape

NAMESPACE = "urn:urst:painting:1"

LARGEST_XMP = 65_000
"""In bytes: a JPEG has room for 65,502, and a longer packet would be lost as a whole."""

_OURS = re.compile(
    rb'<rdf:Description rdf:about="[^"]*" xmlns:urst="urn:urst:painting:1">.*?</rdf:Description>',
    re.DOTALL,
)
_ABOUT = re.compile(rb'rdf:about="([^"]*)"')
_END = b"</rdf:RDF>"

_EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF>'
    '</x:xmpmeta><?xpacket end="w"?>'
).encode()


def with_painting(xmp: bytes | None, text: str) -> bytes | None:
    """Add a text about the painting to an XMP packet.

    Args:
        xmp: the content's packet; None if there is none.
        text: replaces an earlier one.

    Returns:
        The new packet; the content's own if it cannot be extended or would become too long.

    Example:
        >>> painting_of(with_painting(None, "<2 styles>"))
        '<2 styles>'
    """
    packet = without_painting(xmp) or _EMPTY
    before, end, after = packet.rpartition(_END)
    if not end:
        return xmp
    # All descriptions in a packet are about the same thing.
    about = _ABOUT.search(before)
    start = f'<rdf:Description rdf:about="" xmlns:urst="{NAMESPACE}">'.encode()
    if about is not None:
        start = start.replace(b'""', b'"' + about.group(1) + b'"', 1)
    body = f"<urst:Painting>{escape(text)}</urst:Painting></rdf:Description>".encode()
    extended = before + start + body + end + after
    return extended if len(extended) <= LARGEST_XMP else xmp


def without_painting(xmp: bytes | None) -> bytes | None:
    """A packet without our text; None if nothing else was in it."""
    rest = _OURS.sub(b"", xmp or b"")
    return rest if rest not in (b"", _EMPTY) else None


def painting_of(xmp: bytes | None) -> str | None:
    """The text of :func:`with_painting` in a packet, whoever rewrote it; None if there is none."""
    if not xmp or NAMESPACE.encode() not in xmp:
        return None
    match = re.search(rb"<urst:Painting>(.*?)</urst:Painting>", xmp, re.DOTALL)
    if match is not None:
        return unescape(match.group(1).decode("utf-8", "replace"))
    try:
        root = ElementTree.fromstring(_without_wrapper(xmp))
    except ElementTree.ParseError:
        return None
    name = f"{{{NAMESPACE}}}Painting"
    for element in root.iter():
        if name in element.attrib:
            return element.attrib[name]
        if element.tag == name:
            return element.text
    return None


def _without_wrapper(xmp: bytes) -> bytes:
    """The packet without its processing instructions and padding."""
    return re.sub(rb"<\?xpacket[^>]*\?>", b"", xmp).strip(b"\0 \n\r\t")
