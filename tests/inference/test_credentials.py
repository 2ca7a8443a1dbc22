"""Pictures say that a machine drew them; a changed byte is noticed; the key stays with its owner."""

import io
import socket
import stat
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from inference import credentials, finish
from inference.credentials import DIGITAL_SOURCE_TYPE, Signer
from likeness.errors import LikenessError
from likeness.images import load_photo

pytest.importorskip("c2pa")


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer(tmp_path_factory.mktemp("config") / "likeness" / "credentials")


def picture() -> Image.Image:
    ramp = np.linspace(0, 255, 64 * 64 * 3).reshape(64, 64, 3)
    return Image.fromarray(ramp.astype(np.uint8))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_signed_picture_is_trusted_here_valid_elsewhere_and_invalid_once_changed(
    signer: Signer, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"picture{suffix}"
    path.write_bytes(finish.encode(picture(), suffix, signer))
    verdict = credentials.verify(path, signer.folder)
    assert verdict.state == "trusted" and verdict.source_type == DIGITAL_SOURCE_TYPE and not verdict.problems
    assert credentials.verify(path, tmp_path / "no-roots").state == "valid"

    data = bytearray(path.read_bytes())
    data[-30] ^= 1  # in the pixels: the manifest lies at the front of PNG and JPEG, and WebP's chunks are all hashed
    path.write_bytes(data)
    assert credentials.verify(path, signer.folder).state == "invalid"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_xmp_gives_the_digital_source_type_also_without_a_signature(
    signer: Signer, tmp_path: Path, suffix: str
) -> None:
    for data in (finish.encode(picture(), suffix, None), finish.encode(picture(), suffix, signer)):
        with Image.open(io.BytesIO(data)) as image:
            xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
        assert DIGITAL_SOURCE_TYPE in (xmp.decode() if isinstance(xmp, bytes) else str(xmp))
    path = tmp_path / f"plain{suffix}"
    path.write_bytes(finish.encode(picture(), suffix, None))
    assert credentials.verify(path, signer.folder).state == "unsigned"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_pictures_say_what_their_colours_mean(signer: Signer, tmp_path: Path, suffix: str) -> None:
    """As sRGB, by a profile that Pillow, and so the certificate, reads to the same pixels."""
    (tmp_path / f"picture{suffix}").write_bytes(finish.encode(picture(), suffix, signer))
    with Image.open(tmp_path / f"picture{suffix}") as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        assert ImageCms.getProfileDescription(profile).startswith("sRGB")
        assert np.array_equal(np.asarray(load_photo(tmp_path / f"picture{suffix}")), np.asarray(image.convert("RGB")))


def test_png_pixels_are_untouched_by_signing(signer: Signer) -> None:
    signed = Image.open(io.BytesIO(finish.encode(picture(), ".png", signer)))
    assert np.array_equal(np.asarray(signed), np.asarray(picture()))


def test_the_key_is_its_owners_alone_and_kept(signer: Signer) -> None:
    key = signer.folder / "key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and stat.S_IMODE(signer.folder.stat().st_mode) == 0o700
    before = key.read_bytes()
    Signer(signer.folder)
    assert key.read_bytes() == before


def test_another_installation_is_not_trusted(signer: Signer, tmp_path: Path) -> None:
    other = Signer(tmp_path / "other")
    path = tmp_path / "picture.png"
    path.write_bytes(finish.encode(picture(), ".png", other))
    assert credentials.verify(path, signer.folder).state == "valid"


def test_two_renders_that_begin_at_once_make_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first signs would be trusted nowhere once a second key had taken the place of its own."""
    make, made = credentials._make_chain, []

    def slowly(folder: Path) -> None:
        made.append(folder)
        time.sleep(0.3)
        make(folder)

    monkeypatch.setattr(credentials, "_make_chain", slowly)
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(Signer, [tmp_path / "credentials"] * 2)
    assert len(made) == 1 and first._key == second._key


def test_who_was_given_a_root_trusts_its_signer(signer: Signer, tmp_path: Path) -> None:
    own, path = Signer(tmp_path / "own"), tmp_path / "picture.png"
    path.write_bytes(finish.encode(picture(), ".png", signer))
    assert credentials.verify(path, own.folder).state == "valid"
    assert credentials.verify(path, own.folder, [signer.folder / "root.pem"]).state == "trusted"
    assert credentials.verify(path, signer.folder, [own.folder / "root.pem"]).state == "trusted"
    (own.folder / "root.pem").write_text("a certificate that was damaged calls no picture changed")
    with pytest.raises(LikenessError, match=r"root.pem: is no certificate"):
        credentials.verify(path, own.folder)


def test_the_key_lives_in_the_users_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert Signer().folder == tmp_path / "likeness" / "credentials"
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert credentials.credentials_folder() == Path.home() / ".config" / "likeness" / "credentials"

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(LikenessError, match="Set XDG_CONFIG_HOME"):
        credentials.credentials_folder()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_an_address_in_a_picture_is_not_opened(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library fetches in Rust, beyond what Python's sockets see: so somebody has to listen there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        address = f'dcterms:provenance="http://127.0.0.1:{server.getsockname()[1]}/m.c2pa"'
        described = f'xmlns:dcterms="http://purl.org/dc/terms/" {address} xmlns:xmp='.encode()
        monkeypatch.setattr(finish, "XMP", credentials.XMP.replace(b"xmlns:xmp=", described))
        path = tmp_path / f"stranger{suffix}"
        path.write_bytes(finish.encode(picture(), suffix, None))
        verdict = credentials.verify(path, tmp_path)
        with pytest.raises(TimeoutError):
            server.accept()
    assert verdict.state == "unsigned" and "not opened" in verdict.problems[0]


def test_a_stranger_s_picture_is_not_decoded(tmp_path: Path) -> None:
    """30,000 x 30,000 pixels in a hundred bytes."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (tmp_path / "huge.png").write_bytes(data)
    assert credentials.verify(tmp_path / "huge.png", tmp_path).state == "unsigned"


def test_a_picture_that_was_renamed_is_read_as_what_it_is(signer: Signer, tmp_path: Path) -> None:
    path = tmp_path / "renamed.png"
    path.write_bytes(finish.encode(picture(), ".jpg", signer))
    assert credentials.verify(path, signer.folder).state == "trusted"


def test_faults_are_one_clear_line(signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LikenessError, match="cannot be read"):
        credentials.verify(tmp_path / "nothing.png")
    for name, content in (("a.txt", "a"), ("a.png", "a"), ("empty.jpg", ""), ("sound.webp", "RIFF    WAVE")):
        (tmp_path / name).write_text(content)
        with pytest.raises(LikenessError, match="not a picture"):
            credentials.verify(tmp_path / name)
    with pytest.raises(LikenessError, match="XDG_CONFIG_HOME"):
        Signer(tmp_path / "a.txt" / "credentials")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "chain.pem").write_text("nonsense")
    (tmp_path / "broken" / "key.pem").write_text("nonsense")
    with pytest.raises(LikenessError, match="could not be signed") as caught:
        finish.encode(picture(), ".png", Signer(tmp_path / "broken"))
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(LikenessError, match=r"likeness\[credentials\]"):
        credentials.verify(tmp_path / "nothing.png")


def test_processes_that_sign_first_at_the_same_time_share_one_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many renders that a cluster starts at once: a key that another one replaced would sign what nobody trusts later."""
    make = credentials._make_chain

    def slowly(folder: Path) -> None:
        time.sleep(0.3)
        make(folder)

    monkeypatch.setattr(credentials, "_make_chain", slowly)

    def chain(_: int) -> bytes:
        return Signer(tmp_path / "credentials")._chain

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(chain, range(4)))) == 1
