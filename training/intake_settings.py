"""Where intake draws its lines.

"Measured" means on the 576 selfies of the cohort, 48 drawn people over all skin tones. These lines reject four of them, whose faces are
77 to 80 px large on pictures of 256 px; judged together, three more pass for another person and one for a duplicate.
"""

from pydantic import Field

from likeness.faces.quality import GLASSES_RIM
from likeness.settings import Settings


class IntakeSettings(Settings):
    """Thresholds of intake; `training/intake_photo.py` and `training/intake_set.py` say what each is compared with."""

    min_photos: int = Field(default=5, ge=1)
    """Fewer usable photographs than this, and the set is refused."""
    min_side: int = Field(default=256, ge=1)
    """Shorter side of a photograph, pixels."""
    min_face: float = Field(default=80, gt=0)
    """Mean side of the face's box, pixels. dlib's recogniser sees 150 px."""
    small_face: float = Field(default=112, gt=0)
    """A warning below this: the face is drawn larger than it was taken."""
    rival_face: float = Field(default=0.6, gt=0, le=1)
    """A second face of at least this share of the largest one's size leaves open who is meant."""
    min_face_on_picture: float = Field(default=0.95, gt=0, le=1)
    """Share of the face's outline within the picture. Measured: whole faces 1.00; a fifth cut off, 0.89."""
    max_roll: float = Field(default=60, ge=0, le=180)
    """Tilt of the head, degrees, beyond which the photograph lies on its side: it would be learnt so. Measured: 18 at most; of
    selfies turned by a quarter, 129 of 133 beyond 60."""
    min_sharpness: float = Field(default=0.24, ge=0, le=1)
    """Measured: untouched 0.247 and up (1 in 70 below 0.30); four fifths of those blurred by 3 of 256 px lie below."""
    soft_sharpness: float = Field(default=0.30, ge=0, le=1)
    """A warning below this."""
    min_bright: float = Field(default=0.175, ge=0, le=1)
    """Face's 95th percentile of luma; below, too few grey levels are left to learn from, whoever it is."""
    dim_bright: float = Field(default=0.35, ge=0, le=1)
    dim_white: float = Field(default=0.43, ge=0, le=1)
    """Too dark also when the face is below `dim_bright` and nothing on the picture reaches `dim_white`: a dark face beside
    something bright is dark skin, not a dark picture. Measured: no photograph rejected as taken; three stops darker, all of
    them, in every third of the skin tones."""
    max_burnt: float = Field(default=0.20, ge=0, le=1)
    """Share of the face that is burnt out. Measured: as taken 0.000; three stops brighter 0.46 and up on light skin."""
    min_colour: float = Field(default=0.02, ge=0, le=1)
    """The skin's colour; below, it is black and white, and would be learnt and judged so. Measured: 0.11 and up; turned grey, 0."""
    max_blueness: float = Field(default=0.1, ge=-1, le=1)
    """How much bluer than red the skin is; beyond, its colour is false. Measured: at most -0.11; red and blue exchanged, 0.11 and up."""
    min_eye_contrast: float = Field(default=0.5, ge=0)
    dark_lid: float = Field(default=0.75, ge=0)
    """Eyes are hidden when they show less contrast than this under a dark lid (dark lenses) ..."""
    blank_eye_contrast: float = Field(default=0.2, ge=0)
    """... or hardly any contrast (mirror lenses, closed eyes, a hand). Measured: 0 of 576 wrongly, one of 192 portraits; painted lenses found in 100%
    when they let 10% of the light through, 96% at 15%, 88% at 20%."""
    glasses_rim: float = Field(default=GLASSES_RIM, ge=0)
    """From which glasses are worn (`likeness/faces/quality.py`)."""
    pose_variety_degrees: float = Field(default=9.0, ge=0)
    light_variety_stops: float = Field(default=0.5, ge=0)
    """A set that varies by less in every respect gets a warning. Measured: 1 in 100 random sets of five selfies of a person."""
    recogniser: str = "dlib"
    """The recogniser: "dlib", "world" (for drawn people only), or the path of an ONNX manifest."""
