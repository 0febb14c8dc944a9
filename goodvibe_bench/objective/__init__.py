"""How a model is trained: what one example is, how examples become a batch, and the loss of a batch."""
