"""A page in a browser, and what goes wrong there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Visit:
    """A page in the browser, and what it did that no page of ours does.

    Attributes:
        page: Playwright's page.
        problems: Messages on the console, errors, dialogs, and requests off the disk.
    """

    page: Any
    problems: list[str] = field(default_factory=list)

    def open(self, site: Path, address: str) -> Any:
        """Opens ``PAGE[#HASH]`` of a site from disk, and waits until it is ready."""
        name, mark, rest = address.partition("#")
        self.page.goto("about:blank")  # so that another hash of the same page loads it anew
        self.page.goto((site / name).as_uri() + mark + rest)
        if name in ("index.html", "row.html"):
            self.page.wait_for_selector("html[data-ready]", state="attached")
        return self.page


def watch(visit: Visit) -> None:
    """Notes what a page does that no page of ours does."""
    page, problems = visit.page, visit.problems

    def on_console(message: Any) -> None:
        if message.type in ("error", "warning"):
            problems.append(f"{message.type}: {message.text} at {message.location}")

    def on_request(request: Any) -> None:
        if request.url.partition(":")[0] not in ("file", "data", "blob", "about"):
            problems.append(f"request off the disk: {request.url}")

    def on_dialog(dialog: Any) -> None:
        problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("console", on_console)
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    page.on("request", on_request)
    page.on("dialog", on_dialog)
