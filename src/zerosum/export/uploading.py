"""Uploading an exported folder to Hugging Face, by its own package: the extra `hub`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from zerosum.errors import RunError, UsageError
from zerosum.export.runtime import installed
from zerosum.version import VERSION

EXTRA = "pip install 'zerosum[hub]'"
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


def check_push(name: str) -> None:
    """Raises `UsageError` where nothing can be uploaded as USER/NAME, before any work is done for it."""
    if not NAME.fullmatch(name):
        raise UsageError(f"--push {name!r}: a repository is called USER/NAME, of letters, digits, '.', '-' and '_'.")
    installed("huggingface_hub", EXTRA)


def upload(folder: Path, name: str, kinds: Sequence[str], endpoint: str | None = None) -> list[str]:
    """Upload each of the folders `kinds`, "model" and "space", within `folder` to the repository of that kind.

    A repository that is not there is made, private or not as the user's account has it; files there that the folder
    does not have stay. `endpoint`: of another Hugging Face than the public one. Returns the addresses. Raises
    `RunError` where the hub says no or cannot be reached.
    """
    hub = installed("huggingface_hub", EXTRA)
    errors = import_module("huggingface_hub.errors")
    faults = (OSError, ValueError, errors.HTTPError)  # the last of whichever HTTP client it has
    api = hub.HfApi(endpoint=endpoint, library_name="zerosum", library_version=VERSION)
    addresses = []
    for kind in kinds:
        sdk = "gradio" if kind == "space" else None
        try:
            addresses.append(str(api.create_repo(name, repo_type=kind, exist_ok=True, space_sdk=sdk)))
            api.upload_folder(
                repo_id=name, repo_type=kind, folder_path=folder / kind, commit_message=f"zerosum {VERSION}"
            )
        except faults as error:
            why = str(error).strip().partition("\n")[0].rstrip(".")
            raise RunError(
                f"{folder / kind} is written, and could not be uploaded as {name}: {why}. Log in with 'hf auth login', "
                "and give the same command with --overwrite."
            ) from error
    return addresses
