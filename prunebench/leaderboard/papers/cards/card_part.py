"""What all parts of a work's card have in common: nothing unknown, and how its texts look."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from prunebench.errors import did_you_mean
from prunebench.record.fields import Strict

Text = Annotated[str, Field(min_length=1, max_length=2000)]
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
Patterns = tuple[Text, ...]


class CardPart(Strict):
    """Base of the parts of a card: an unknown key is answered with the nearest known one."""

    model_config = ConfigDict(protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _keys_are_known(cls, data: Any) -> Any:
        for key in data if isinstance(data, dict) else ():
            if key not in cls.model_fields:
                raise make_misplaced_error(
                    f"unknown key {key!r}; {did_you_mean(str(key), cls.model_fields)}", (key,)
                )
        return data


def make_misplaced_error(message: str, location: tuple[Any, ...]) -> PydanticCustomError:
    """Make an error at a location below the part of the card that is being read."""
    return PydanticCustomError("misplaced", "{message}", {"message": message, "location": location})
