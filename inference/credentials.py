"""Content credentials: a picture says, signed, that a machine drew it.

Two layers: XMP with IPTC's digital source type, which many sites read, and a C2PA manifest (c2pa.org, claim v2) bound
to the pixels by a hash and signed with a key of this installation. The signature tells whether the picture was changed
since; who signed is only known to those who were given our root certificate (`root.pem`).
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from likeness import __version__, files
from likeness.errors import LikenessError, first_line

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_BEGINNINGS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
VALID_FOR = timedelta(days=3650)

State = Literal["trusted", "valid", "invalid", "unsigned"]

XMP = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="Likeness {__version__}"
 Iptc4xmpExt:DigitalSourceType="{DIGITAL_SOURCE_TYPE}"/></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>""".encode()


@dataclass(frozen=True)
class Verdict:
    """What a picture's credentials say.

    trusted: unchanged, and signed by this installation or by one whose root was given. valid: unchanged, signed by somebody else.
    invalid: changed since it was signed. unsigned: no credentials.
    """

    state: State
    signer: str = ""
    source_type: str = ""
    problems: tuple[str, ...] = ()


def available() -> bool:
    """Whether the libraries that sign and verify are installed (the extra `credentials`)."""
    try:
        import c2pa  # noqa: F401
        import cryptography  # noqa: F401
    except ImportError:
        return False
    return True


class Signer:
    """Signs pictures with the key in a folder, which is made at first use."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` is `likeness/credentials` under the user's configuration by default. Raises LikenessError."""
        self.folder = folder or credentials_folder()
        if not available():
            raise _not_installed()
        if not self.folder.is_dir():
            try:
                with files.claim(self.folder.with_name(f".{self.folder.name}.lock"), wait=True):
                    # Another render began meanwhile: a second key would outlive what the first signs.
                    if not self.folder.is_dir():
                        _make_chain(self.folder)
            except LikenessError as error:
                remedy = "Set XDG_CONFIG_HOME to a folder that you may write to"
                raise LikenessError(f"no signing key can be made: it {error.what}", remedy, self.folder) from error
        with files.explained(self.folder, "the signing key cannot be read"):
            self._chain = (self.folder / "chain.pem").read_bytes()
            self._key = (self.folder / "key.pem").read_bytes()

    def sign(self, picture: bytes) -> bytes:
        """The encoded picture with a signed manifest. Nothing may touch it after."""
        import c2pa

        mime = _mime_type(picture)
        manifest = {"claim_generator_info": [{"name": "Likeness", "version": __version__}], "format": mime}
        signed = io.BytesIO()
        # ta_url None: no time stamp, so signing opens no connection. A thumbnail would weigh more than the picture.
        info = c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, self._chain, self._key, None)
        settings = {"builder": {"thumbnail": {"enabled": False}}}
        try:
            with (
                c2pa.Context.from_dict(settings) as context,
                c2pa.Signer.from_info(info) as signer,
                c2pa.Builder.from_json(json.dumps(manifest), context) as builder,
            ):
                builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.TRAINED_ALGORITHMIC_MEDIA)
                builder.sign(signer, mime, io.BytesIO(picture), signed)
        except c2pa.C2paError as error:
            remedy = "Move that folder away, and a new key is made"
            raise LikenessError(f"the picture could not be signed: {error}", remedy, self.folder) from error
        return signed.getvalue()


def verify(path: Path, folder: Path | None = None, roots: Sequence[Path] = ()) -> Verdict:
    """What the credentials of a picture say, by the root in `folder` (this installation's own) and by others' `roots`.

    Nothing is fetched: credentials that lie elsewhere, at an address that the picture names, count as none. Raises LikenessError
    when there is no such picture, a root is none, or the libraries are missing.
    """
    if not available():
        raise _not_installed()
    with files.explained(path, "cannot be read"):
        data = path.read_bytes()
    mime = _mime_type(data)
    if mime is None:
        raise LikenessError("is not a picture whose credentials can be read", "Give a PNG, a JPEG or a WebP", path)
    own = (folder or credentials_folder()) / "root.pem"
    return _read(data, mime, _anchors([*([own] if own.is_file() else []), *roots]))


def credentials_folder() -> Path:
    """Where this user's signing key is: `$XDG_CONFIG_HOME/likeness/credentials`, else under `~/.config`.

    Raises LikenessError for a user without a home, as in a container.
    """
    home = os.environ.get("XDG_CONFIG_HOME") or ""
    try:
        return (Path(home) if os.path.isabs(home) else Path.home() / ".config") / "likeness" / "credentials"
    except RuntimeError as error:
        what = "this user has no home for the signing key"
        raise LikenessError(what, "Set XDG_CONFIG_HOME to a folder that you may write to") from error


def _anchors(roots: Sequence[Path]) -> str:
    """The certificates in these files as one PEM. Raises LikenessError: c2pa calls every picture invalid by a root that it cannot read."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    found: list[x509.Certificate] = []
    for path in roots:
        with files.explained(path, "cannot be read"):
            data = path.read_bytes()
        try:
            found += x509.load_pem_x509_certificates(data)
        except ValueError as error:
            remedy = (
                "Give the root.pem of whoever signs; one of your own that is damaged belongs to a key to be made anew"
            )
            raise LikenessError("is no certificate", remedy, path) from error
    return "".join(certificate.public_bytes(Encoding.PEM).decode("ascii") for certificate in found)


def _mime_type(picture: bytes) -> str | None:
    """By its first bytes: a picture may have been renamed, and a stranger's is not to be decoded."""
    if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for beginning, kind in _BEGINNINGS.items() if picture.startswith(beginning)), None)


def _read(data: bytes, mime: str, anchors: str) -> Verdict:
    import c2pa

    # Or a stranger's picture would have this machine open whatever address it names.
    settings: dict[str, Any] = {"verify": {"remote_manifest_fetch": False}}
    if anchors:
        settings["trust"] = {"trust_anchors": anchors}
    try:
        with (
            c2pa.Context.from_dict(settings) as context,
            c2pa.Reader(mime, io.BytesIO(data), context=context) as reader,
        ):
            report = json.loads(reader.json())
    except c2pa.C2paError as error:
        if isinstance(error, c2pa.C2paError.ManifestNotFound):
            return Verdict("unsigned")
        if str(error).startswith("Remote:"):
            return Verdict("unsigned", problems=("it names an address for its credentials, which was not opened",))
        return Verdict("invalid", problems=(first_line(error),))
    manifest = report["manifests"][report["active_manifest"]]
    failures = report.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    states: dict[str, State] = {"Trusted": "trusted", "Valid": "valid"}
    return Verdict(
        states.get(report.get("validation_state", ""), "invalid"),
        manifest.get("signature_info", {}).get("issuer", ""),
        _source_type(manifest),
        tuple(failure["code"] for failure in failures if failure["code"] != "signingCredential.untrusted"),
    )


def _source_type(manifest: dict[str, Any]) -> str:
    for assertion in manifest.get("assertions", []):
        for action in assertion.get("data", {}).get("actions", []) if "actions" in assertion["label"] else []:
            if action.get("digitalSourceType"):
                return str(action["digitalSourceType"])
    return ""


def _make_chain(folder: Path) -> None:
    """A root and a signing certificate below it, as C2PA asks of a signer: P-256, key usage, EKU emailProtection."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate("Likeness local root", "Likeness local root", root_key.public_key(), root_key, None, True)
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
    own = _certificate("Likeness renderer", "Likeness local root", key.public_key(), root_key, purpose, False)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with files.new_folder(folder) as new:
        new.chmod(0o700)
        files.write_bytes(new / "root.pem", root.public_bytes(pem))
        files.write_bytes(new / "chain.pem", own.public_bytes(pem) + root.public_bytes(pem))
        files.write_bytes(new / "key.pem", secret)
        (new / "key.pem").chmod(0o600)


def _certificate(name: str, issuer: str, public: Any, issuer_key: Any, purpose: Any, is_root: bool) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    def named(text: str) -> x509.Name:
        parts = [(NameOID.COMMON_NAME, text), (NameOID.ORGANIZATION_NAME, "An installation of Likeness")]
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])

    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root, **usage),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if purpose is not None:
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _not_installed() -> LikenessError:
    return LikenessError(
        "the libraries for content credentials are not installed", "Install them: pip install 'likeness[credentials]'"
    )
