"""One TOML file for each published system: a whole run but for its data."""
