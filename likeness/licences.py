"""Which licences of bases allow a headshot business, and which must be accepted before anything is made with the base."""

from __future__ import annotations

from likeness.errors import LikenessError

OPEN = frozenset(
    {
        "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "unlicense",
        # They forbid harmful uses, not business.
        "openrail", "openrail++", "creativeml-openrail-m", "bigscience-openrail-m",
    }
)  # fmt: skip
"""As the Hub spells them."""

NO_BUSINESS = "forbids commercial use"
_TERMS = {
    "non-commercial": NO_BUSINESS,
    "noncommercial": NO_BUSINESS,
    "-nc": NO_BUSINESS,
    "stabilityai": "is free only below a yearly revenue that it names",
    "krea": "is free only below a yearly revenue that it names",
}


def check(licence: str, accepted: bool, base: str, kind: str = "base") -> None:
    """`base` is the name of what is licensed, `kind` the word for it. Raises LikenessError for a licence that is not open and was not accepted."""
    if not accepted and licence.lower() not in OPEN:
        terms = [words for part, words in _TERMS.items() if part in licence.lower()]
        limits = terms[0] if terms else "is none of those known to be open"
        raise LikenessError(
            f"the licence of this {kind}, {licence}, {limits}",
            f"Read it; who may use the {kind} accepts it by accept_license=true in training, --accept-license elsewhere",
            base,
        )
