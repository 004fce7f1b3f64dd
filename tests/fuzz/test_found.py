"""Every file that the fuzzer once found wanting, again

`found/NAME.yaml` is the file as it was made smaller; `NAME.settings.json` is what `--set` said.
"""

import shutil
from pathlib import Path

import pytest

from fuzz.corpus import FOUND, PLANS
from fuzz.examples import Example
from fuzz.trial import hold


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("found")
    for plan in PLANS:
        shutil.copy(plan, folder)
    return folder


@pytest.mark.parametrize("path", sorted(FOUND.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_was_found_is_mended(folder: Path, path: Path) -> None:
    assert hold(Example.read(path), folder, is_thorough=True) in ("plan", "refused")
