"""Our text in XMP packets: added, replaced, removed, and read after other programs wrote it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from urst_core.pictures.xmp import (
    LARGEST_XMP,
    NAMESPACE,
    painting_of,
    with_painting,
    without_painting,
)

PACKET = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="uuid:1" xmlns:dc="http://purl.org/dc/elements/1.1/">'
    b"<dc:creator>Ansel</dc:creator></rdf:Description></rdf:RDF></x:xmpmeta>"
    b'<?xpacket end="w"?>'
)
TEXT = '{"styles": [{"name": "<a> & \\"b\\".jpg"}]}'


@pytest.mark.parametrize("xmp", [None, b"", PACKET])
def test_added_read_and_removed(xmp):
    packet = with_painting(xmp, "an older text")
    packet = with_painting(packet, TEXT)
    assert painting_of(packet) == TEXT
    assert packet.count(b"urst:Painting>") == 2
    ElementTree.fromstring(packet[packet.index(b"?>") + 2 : packet.rindex(b"<?xpacket")])
    assert without_painting(packet) == (xmp or None)


def test_the_rest_of_a_packet_stays():
    packet = with_painting(PACKET, TEXT)
    assert b"<dc:creator>Ansel</dc:creator>" in packet
    # One packet describes one thing.
    assert packet.count(b'rdf:about="uuid:1"') == 2


def test_read_after_another_program_wrote_it():
    as_attribute = PACKET.replace(
        b'rdf:about="uuid:1"', f'rdf:about="" xmlns:p="{NAMESPACE}" p:Painting="text"'.encode()
    )
    as_element = PACKET.replace(
        b"<dc:creator>",
        f'<p:Painting xmlns:p="{NAMESPACE}">other</p:Painting><dc:creator>'.encode(),
    )
    assert painting_of(as_attribute) == "text"
    assert painting_of(as_element) == "other"


@pytest.mark.parametrize("xmp", [None, PACKET, NAMESPACE.encode() + b"<broken"])
def test_packets_without_our_text(xmp):
    assert painting_of(xmp) is None


@pytest.mark.parametrize(
    "xmp", [b"not XML", PACKET.replace(b"Ansel", b"x" * (LARGEST_XMP - len(PACKET)))]
)
def test_a_packet_that_cannot_be_extended_stays(xmp):
    assert with_painting(xmp, TEXT) == xmp
