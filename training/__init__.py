"""Making the data and training the small networks."""
