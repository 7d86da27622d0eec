"""The pages of the studio, one a module: each has a `build` that lays it out and says what follows from what."""
