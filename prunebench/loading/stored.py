"""The network behind a record, out of a store."""

from __future__ import annotations

from pydantic import ValidationError

from prunebench.errors import RequestError
from prunebench.networks import Architecture, Network
from prunebench.networks.network import from_tensors
from prunebench.networks.portable import check_code
from prunebench.record import Record
from prunebench.store import Store


def has_network(record: Record, store: Store) -> bool:
    """Tell whether a store holds the network of a record."""
    return store.has(str(record.keys.get("network", "")))


def load_stored(record: Record, store: Store) -> Network:
    """Load the network of a record from the store where it was made, on the CPU.

    Raises:
        RequestError: It is not there, or is built by Python code and the store is not trusted.
        StoreError: The artefact is damaged.
    """
    where = f"record {record.id}"
    if record.failure:
        raise RequestError(
            f"tells of a network that could not be made: {record.failure}", where=where
        )
    if not has_network(record, store):
        raise RequestError(f"the store {store.root} does not hold its network", where=where)
    artefact = store.read(str(record.keys["network"]))
    try:
        architecture = Architecture.model_validate(artefact.data.get("architecture"))
    except ValidationError:
        raise artefact.damaged("artefact.json has no 'architecture'") from None
    check_code(architecture, store.trusted, where)
    return from_tensors(architecture, artefact.tensors)
