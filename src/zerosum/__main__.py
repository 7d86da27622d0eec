"""`python -m zerosum` is the command `zerosum`."""

from zerosum.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
