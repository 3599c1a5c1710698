"""The benchmark of Tidings: black box, over HTTP, each speed beside a reference of the same run."""
