"""A work's card: citation, protocol, and experiments with every number published."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from prunebench.errors import did_you_mean
from prunebench.leaderboard.papers.cards.card_part import (
    CardPart,
    Key,
    Name,
    Patterns,
    Text,
    make_misplaced_error,
)
from prunebench.leaderboard.papers.cards.figures import Curves, Heatmaps, Plot
from prunebench.leaderboard.papers.cards.printed import Printed, Words
from prunebench.leaderboard.papers.cards.reading import Reading, ReadingText, parse_reading
from prunebench.plugins.recipe import Recipe


class Quantity(CardPart):
    """A column of a published table.

    Attributes:
        title: Its heading.
        unit: ``percent`` where our fractions are multiplied by 100 to stand beside it.
        ours: What is read off our rows (see ``cards/reading.py``); null if nothing answers it.
        note: How the two differ in meaning, if they do.
    """

    title: Text
    unit: Literal["percent", "number"] = "number"
    ours: ReadingText | None = None
    note: Text | None = None

    @property
    def reading(self) -> Reading | None:
        """``ours``, taken apart."""
        return parse_reading(self.ours) if self.ours else None


class PublishedRow(CardPart):
    """A row of a published table.

    Attributes:
        label: What the source calls it.
        values: Its numbers as printed, by column.
        role: Which of our rows stands beside it.
        pruners: Our compressors of this name, as patterns; null for those of the experiment,
            empty where there is none.
        source: Where in the source, if elsewhere than the experiment.
        note: What to know, such as that the row contradicts itself.
    """

    label: Text
    values: dict[Key, Printed | Words] = Field(min_length=1)
    role: Literal["baseline", "control", "compressed"] = "compressed"
    pruners: Patterns | None = None
    source: Text | None = None
    note: Text | None = None


class RowPatterns(CardPart):
    """Which of our rows are meant, by shell patterns of labels or plugin names.

    Attributes:
        datasets: Patterns of the data set; the first is what the work used.
        models: Patterns of the network before compression.
        pruners: Patterns of the compressor; all if empty.
        differs: What is known to differ from the work whatever the record says.
    """

    datasets: Patterns = Field(min_length=1)
    models: Patterns = Field(min_length=1)
    pruners: Patterns = ()
    differs: tuple[Text, ...] = ()


class StatedConditions(CardPart):
    """Conditions of the work as far as it states them, in the terms of our records.

    Attributes:
        dataset: What it calls its data.
        model: What it calls its network.
        recovery: Options of the training after compression (see ``plugins/recipe.py``).
        explained_images: Images explained.
        class_policy: Whose class is explained.
        target_layer: The layer explained.
        seeds: How many runs are averaged.
        baseline_accuracy: Of the network before compression.
    """

    dataset: Text
    model: Text
    recovery: dict[str, Any] | None = None
    explained_images: int | None = Field(None, ge=1)
    class_policy: Literal["baseline", "label", "own"] | None = None
    target_layer: Text | None = None
    seeds: int | None = Field(None, ge=1)
    baseline_accuracy: Printed | None = None

    @field_validator("recovery")
    @classmethod
    def _is_a_recipe(cls, recovery: dict[str, Any] | None) -> dict[str, Any] | None:
        for name in recovery or {}:
            if name not in Recipe.model_fields:
                raise ValueError(
                    f"unknown option {name!r}; {did_you_mean(name, Recipe.model_fields)}"
                )
        Recipe.model_validate(recovery or {})
        return recovery


class PublishedExperiment(CardPart):
    """One experiment of a work: a table, figures, or both.

    Attributes:
        name: Short, for addresses.
        title: What was compared.
        source: Where in the work: table, figure or section.
        suite: The suite that repeats it; null if there is none yet.
        conditions: What the work states of its protocol.
        quantities: Columns, by key.
        nearest: The column by which our nearest row is found.
        sorted_by: The column by which our rows are sorted in among the published ones.
        plot: Two columns to draw.
        curves: Its figures of curves over levels.
        heatmaps: Its figures of heatmaps.
        ours: Rows of the same experiment.
        similar: Rows of something like it, to stand beside where there are none of the same.
        rows: What was published.
        findings: What the source concludes from its figures, each with its place.
        notes: Contradictions and gaps of the source.
    """

    name: Name
    title: Text
    source: Text
    suite: str | None = Field(None, pattern=r"^benchmarks/([a-z0-9-]+/)*[a-z0-9-]+\.yaml$")
    conditions: StatedConditions
    quantities: dict[Key, Quantity] = {}
    nearest: Key | None = None
    sorted_by: Key | None = None
    plot: Plot | None = None
    curves: tuple[Curves, ...] = ()
    heatmaps: Heatmaps | None = None
    ours: RowPatterns
    similar: tuple[RowPatterns, ...] = ()
    rows: tuple[PublishedRow, ...] = ()
    findings: tuple[Text, ...] = ()
    notes: tuple[Text, ...] = ()

    @property
    def suite_name(self) -> str | None:
        """The name that the suite's records carry: of its folder and its file."""
        if self.suite is None:
            return None
        return self.suite.removeprefix("benchmarks/").removesuffix(".yaml").replace("/", "-")

    @property
    def figures(self) -> tuple[Curves | Heatmaps, ...]:
        """All figures to be drawn again from our records."""
        return (*self.curves, *([self.heatmaps] if self.heatmaps else []))

    @model_validator(mode="after")
    def _something_was_published(self) -> PublishedExperiment:
        if not self.rows and not self.figures:
            raise ValueError("an experiment has 'rows', 'curves' or 'heatmaps'")
        return self

    @model_validator(mode="after")
    def _columns_exist(self) -> PublishedExperiment:
        for row in self.rows:
            self._require(row.values)
        used = [key for key in (self.nearest, self.sorted_by) if key]
        used += [self.plot.x, self.plot.y] if self.plot else []
        self._require(used, read=True)
        for index, curves in enumerate(self.curves):
            place = ("curves", index)
            self._require((curves.x, *curves.y), read=True, place=place)
            if len({self.quantities[key].unit for key in curves.y}) > 1:
                raise make_misplaced_error(
                    f"the columns {', '.join(curves.y)} share an axis, but no unit", place
                )
        return self

    def _require(
        self, keys: Iterable[str], *, read: bool = False, place: tuple[str | int, ...] = ()
    ) -> None:
        """Refuse columns that are not there, or that are not read off one row of ours."""
        for key in keys:
            if key not in self.quantities:
                raise make_misplaced_error(
                    f"no quantity {key!r}; {did_you_mean(key, self.quantities)}", place
                )
            reading = self.quantities[key].reading
            if read and (reading is None or reading.levels):
                raise make_misplaced_error(
                    f"quantity {key!r} needs 'ours', read off one row", place
                )


class Work(CardPart):
    """A published work.

    Attributes:
        title: Its own title.
        short: What the page calls it.
        kind: What it is, such as "article" or "poster".
        summary: One sentence.
        protocol: How it was done, in words; one paragraph an entry.
        findings: What it concluded with numbers outside tables, each with its place.
        notes: Contradictions and gaps.
    """

    title: Text
    short: Text
    kind: Text
    authors: Text
    year: int | None = Field(None, ge=1950, le=2100)
    venue: Text | None = None
    doi: str | None = Field(None, pattern=r"^10\.\d{4,9}/\S+$")
    arxiv: str | None = Field(None, pattern=r"^\d{4}\.\d{4,5}$")
    url: str | None = Field(None, pattern=r"^https://\S+$")
    summary: Text
    protocol: tuple[Text, ...] = Field(min_length=1)
    findings: tuple[Text, ...] = ()
    notes: tuple[Text, ...] = ()
    experiments: tuple[PublishedExperiment, ...] = Field(min_length=1)

    @field_validator("experiments")
    @classmethod
    def _names_differ(
        cls, experiments: tuple[PublishedExperiment, ...]
    ) -> tuple[PublishedExperiment, ...]:
        names = [experiment.name for experiment in experiments]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two experiments are called {name!r}")
        return experiments
