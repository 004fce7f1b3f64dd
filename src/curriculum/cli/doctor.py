"""`curriculum doctor`: what this machine can do, why, and what is missing"""

import json

import typer

from curriculum.cli.options import Format, FormatOption
from curriculum.errors import CurriculumError


def command(format: FormatOption = Format.TEXT) -> None:
    """Say what this machine can do: devices, kernels (probed), extras, and what is missing."""
    try:
        from curriculum.train.launch import prepare_environment

        prepare_environment()  # before torch is imported
        from curriculum.train.doctor import examine, report
    except ModuleNotFoundError as error:
        raise CurriculumError(
            f"{error.name} is not here: plans compile, nothing trains; "
            "pip install 'curriculum[train]'"
        ) from error
    health = examine()
    if format is Format.JSON:
        print(json.dumps({"format": 1, **health.as_json(), "findings": []}, indent=2))
    else:
        print("\n".join(report(health)))
    if health.problems:
        raise typer.Exit(1)
