"""CLIPSeg: words to scores for every pixel."""
