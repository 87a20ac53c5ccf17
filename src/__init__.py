from src import ranks  # noqa: F401  # before anything imports Lightning
