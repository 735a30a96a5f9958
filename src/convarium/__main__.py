"""`python -m convarium` is `convarium`."""

from convarium.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
