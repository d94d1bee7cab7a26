"""What the end-to-end tests share: where the program and the test models are."""
import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def hanlin_bin():
    path = pathlib.Path(os.environ.get("HANLIN_BIN", ROOT / "build/release/bin/hanlin"))
    assert path.exists(), f"{path} does not exist: build it first (./test e2e does)"
    return path


@pytest.fixture(scope="session")
def model_dir():
    """Directory with the test models (./test makes it); tests skip where it is absent."""
    path = os.environ.get("HANLIN_TEST_MODELS", "")
    if not path:
        pytest.skip("HANLIN_TEST_MODELS is not set: no real model files")
    return pathlib.Path(path)
