"""The text encoder of Grounding DINO, for transformers 5.

groundingdino-py 0.4 wraps a BERT model and calls helpers that transformers 5 no longer has. This
module stands in for that wrapper. It keeps the names of the parts, so that published weights fit.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class SubSentenceBert(nn.Module):
    """BERT whose tokens attend only within their own sub-sentence.

    Args:
        bert_model: transformers' BertModel, with its pooler.
    """

    def __init__(self, bert_model: Any) -> None:
        super().__init__()
        self.config = bert_model.config
        self.embeddings = bert_model.embeddings
        self.encoder = bert_model.encoder
        self.pooler = bert_model.pooler

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Encode captions.

        Args:
            input_ids: int64 (B, L).
            attention_mask: bool (B, L, L), True where a token may look; or (B, L), True for tokens.
            position_ids: int64 (B, L), counted within a sub-sentence.
            token_type_ids: int64 (B, L).

        Returns:
            {"last_hidden_state": float (B, L, D)}.
        """
        hidden = self.embeddings(
            input_ids, position_ids=position_ids, token_type_ids=token_type_ids
        )
        allowed = attention_mask.bool()
        if allowed.dim() == 2:
            allowed = allowed[:, None, :].expand(-1, allowed.shape[1], -1)
        bias = torch.zeros(allowed.shape, dtype=hidden.dtype, device=hidden.device)
        bias = bias.masked_fill(~allowed, torch.finfo(hidden.dtype).min)[:, None]
        encoded = self.encoder(hidden, attention_mask=bias)
        return {"last_hidden_state": encoded.last_hidden_state}
