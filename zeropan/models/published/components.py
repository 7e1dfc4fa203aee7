"""The published models that zeropan can run: each file's source, size, SHA-256 and licence.

The table was put together from public pages and files that agree with each other, not from the
files themselves. A SHA-256 given here is checked before a file is used. Where none is known (None),
the first pull records what came, and every later check compares with that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Role = Literal["detector", "segmenter", "text_segmenter"]
Kind = Literal["groundingdino", "segment_anything", "clipseg", "hf_grounding_dino", "sam2", "sam3"]
"""Which adapter runs a component's files."""

META = "https://dl.fbaipublicfiles.com/segment_anything"
APACHE = "Apache-2.0"
SAM_LICENSE = "SAM License"


@dataclass(frozen=True)
class RemoteFile:
    """One published file."""

    name: str
    """Its name at the source, and in the component's folder."""
    repository: str | None = None
    """Hub repository, such as "CIDAS/clipseg-rd64-refined"; None for a plain address."""
    revision: str = "main"
    """Commit of the repository."""
    url: str | None = None
    """Plain address, where there is no repository."""
    bytes: int | None = None
    sha256: str | None = None

    @property
    def source(self) -> str:
        """Where it comes from, for people."""
        return self.url or f"{self.repository}@{self.revision[:12]}"


@dataclass(frozen=True)
class Component:
    """One model: its role, its files, and which adapter runs it."""

    name: str
    role: Role
    kind: Kind
    title: str
    licence: str
    files: tuple[RemoteFile, ...]
    variant: str = ""
    """Which of the adapter's sizes it is, where its files do not say so."""
    note: str = ""
    """What a person should know before choosing it."""

    @property
    def bytes(self) -> int:
        """What a pull fetches, as far as it is known."""
        return sum(file.bytes or 0 for file in self.files)


def _hub(
    repository: str, revision: str, files: Mapping[str, tuple[int | None, str | None]]
) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(name, repository=repository, revision=revision, bytes=size, sha256=sha256)
        for name, (size, sha256) in files.items()
    )


def _sam(variant: str, name: str, size: int, sha256: str) -> Component:
    return Component(
        f"sam_{variant}",
        "segmenter",
        "segment_anything",
        f"SAM ViT-{variant[-1].upper()}",
        APACHE,
        (RemoteFile(name, url=f"{META}/{name}", bytes=size, sha256=sha256),),
        variant=variant,
    )


_BERT_VOCABULARY = RemoteFile(
    "vocab.txt",
    repository="google-bert/bert-base-uncased",
    revision="86b5e0934494bd15c9632b12f734a8a67f723594",
    bytes=231508,
    sha256="07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
)
_GROUNDING_DINO = ("ShilongLiu/GroundingDINO", "a94c9b567a2a374598f05c584e96798a170c56fb")
_SAW_COCO = "was trained on COCO, so it is not zero-shot there"

_TABLE = (
    Component(
        "grounding_dino_swin_t",
        "detector",
        "groundingdino",
        "Grounding DINO Swin-T OGC",
        APACHE,
        (
            *_hub(*_GROUNDING_DINO, {"groundingdino_swint_ogc.pth": (
                693997677, "3b3ca2563c77c69f651d7bd133e97139c186df06231157a64c507099c52bc799"
            )}),
            _BERT_VOCABULARY,
        ),
        variant="swin_t",
        note="the checkpoint holds BERT's weights; only its vocabulary is fetched beside it",
    ),
    Component(
        "grounding_dino_swin_b",
        "detector",
        "groundingdino",
        "Grounding DINO Swin-B COGCOOR",
        APACHE,
        (
            *_hub(*_GROUNDING_DINO, {"groundingdino_swinb_cogcoor.pth": (
                938057991, "46270f7a822e6906b655b729c90613e48929d0f2bb8b9b76fd10a856f3ac6ab7"
            )}),
            _BERT_VOCABULARY,
        ),
        variant="swin_b",
        note=_SAW_COCO,
    ),
    Component(
        "hf_grounding_dino_tiny",
        "detector",
        "hf_grounding_dino",
        "Grounding DINO tiny (transformers)",
        APACHE,
        _hub("IDEA-Research/grounding-dino-tiny", "a2bb814dd30d776dcf7e30523b00659f4f141c71", {
            "config.json": (None, None),
            "model.safetensors": (
                689359096, "1a2412ef99bd74bcd3c2a246fa1e48581f8889a1300c9051974741314fc042f3"
            ),
            "vocab.txt": (_BERT_VOCABULARY.bytes, _BERT_VOCABULARY.sha256),
        }),
    ),
    Component(
        "hf_grounding_dino_base",
        "detector",
        "hf_grounding_dino",
        "Grounding DINO base (transformers)",
        APACHE,
        _hub("IDEA-Research/grounding-dino-base", "12bdfa3120f3e7ec7b434d90674b3396eccf88eb", {
            "config.json": (
                1737, "eda416dae6f49419ff831b1c190ec430a060b19aae688dbaf2425a075b650608"
            ),
            "model.safetensors": (
                933400872, "5548f844c928c4b6f411fa8cbcc2bfa8dbbba437cb1d513975519f93c2a9ed21"
            ),
            "vocab.txt": (_BERT_VOCABULARY.bytes, _BERT_VOCABULARY.sha256),
        }),
        note=_SAW_COCO,
    ),
    Component(
        "mm_grounding_dino_tiny",
        "detector",
        "hf_grounding_dino",
        "MM-Grounding-DINO tiny (transformers)",
        APACHE,
        _hub("openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det", "main", {
            "config.json": (None, None),
            "model.safetensors": (692015412, None),
            "vocab.txt": (_BERT_VOCABULARY.bytes, _BERT_VOCABULARY.sha256),
        }),
        note="no commit and no SHA-256 are known; the first pull records them",
    ),
    _sam("vit_b", "sam_vit_b_01ec64.pth", 375042383,
         "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912"),
    _sam("vit_l", "sam_vit_l_0b3195.pth", 1249524607,
         "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622"),
    _sam("vit_h", "sam_vit_h_4b8939.pth", 2564550879,
         "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e"),
    Component(
        "sam2_1_tiny",
        "segmenter",
        "sam2",
        "SAM 2.1 Hiera tiny (transformers)",
        APACHE,
        _hub("facebook/sam2.1-hiera-tiny", "de431c4043854a71d8101e17995dfe596bf101a5", {
            "config.json": (None, None), "model.safetensors": (None, None),
        }),
        note="no SHA-256 of the transformers file is known; the first pull records it",
    ),
    Component(
        "sam2_1_large",
        "segmenter",
        "sam2",
        "SAM 2.1 Hiera large (transformers)",
        APACHE,
        _hub("facebook/sam2.1-hiera-large", "665f8e2ad61cf5f53d65644ff27c8ee525124610", {
            "config.json": (None, None), "model.safetensors": (None, None),
        }),
        note="no SHA-256 of the transformers file is known; the first pull records it",
    ),
    Component(
        "sam3",
        "detector",
        "sam3",
        "SAM 3, boxes for words (transformers)",
        SAM_LICENSE,
        _hub("facebook/sam3", "3c879f39826c281e95690f02c7821c4de09afae7", {
            "config.json": (None, None), "model.safetensors": (None, None),
            "tokenizer.json": (None, None), "tokenizer_config.json": (None, None),
        }),
        note="gated: accept the terms on its page and set HF_TOKEN; no military use, and the terms "
        "must be passed on",
    ),
    Component(
        "clipseg_rd64",
        "text_segmenter",
        "clipseg",
        "CLIPSeg rd64 refined",
        "disputed",
        _hub("CIDAS/clipseg-rd64-refined", "999e0328d9e10b484360c477313983f9afdd7050", {
            "config.json": (
                4732, "c023375966d31b3b1392764f7bd91df47098ce19f62f11b0263d8eedcf708bcd"
            ),
            "model.safetensors": (
                603049496, "d00ca85d6b859f9d07b7cfb8ef26fe9771cb275b34c9368f2ecf603139307f55"
            ),
            "preprocessor_config.json": (
                380, "4fb09ebcfd7651205ca8299b993c30088e5535ef350a72d46c5c4580eeac0440"
            ),
            "tokenizer_config.json": (
                None, "4c75d57fd9bd0be8478ad2d6f8b9cebdd4a45338eb108547329c2b6333476ca6"
            ),
            "special_tokens_map.json": (
                None, "c4864a9376a8401918425bed71fc14fc0e81f9b59ec45c1cf96cccb2df508eac"
            ),
            "vocab.json": (
                None, "e089ad92ba36837a0d31433e555c8f45fe601ab5c221d4f607ded32d9f7a4349"
            ),
            "merges.txt": (
                None, "9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a"
            ),
        }),
        note="the model's page says Apache-2.0, the authors' repository says that its MIT licence "
        "does not cover the weights",
    ),
)  # fmt: skip
COMPONENTS: dict[str, Component] = {component.name: component for component in _TABLE}
"""By name. It is a table, never changed while zeropan runs."""
