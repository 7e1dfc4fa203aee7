"""What was asked for: words, parameters, images, places, and what a run recorded of them."""
